"""Every error of the web as a problem document (RFC 9457); nothing of our insides leaves the house."""

import math
from http import HTTPStatus
from typing import Any

import asyncpg
import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ExceptionHandlersMap

from metachat.foundation import redaction
from metachat.foundation.errors import Kind, Refusal, problem
from metachat.foundation.log import current, log

MEDIA_TYPE = "application/problem+json"

# Each status's code for programs and sentence for people, where the framework refuses before we do.
_SENTENCES = {
    400: ("malformed", "The request cannot be read."),
    401: ("not_signed_in", "Sign in, or send an API key that is valid."),
    403: ("not_allowed", "This needs rights that you do not have."),
    404: ("not_found", "There is nothing here."),
    405: ("method_not_allowed", "This address does not know that method."),
    413: ("too_large", "The request is larger than allowed."),
    415: ("unsupported_media_type", "The request's media type is not supported."),
    422: ("invalid", "The request is not valid."),
    429: ("too_many_requests", "Too many requests; wait a little before the next one."),
    500: ("internal", "Something went wrong on our side."),
    503: ("unavailable", "A service that this needs is away; try again shortly."),
}


def from_refusal(request: Request[Any, Any, Any], refusal: Refusal) -> Response[bytes]:
    """Answer a refusal, with the time to wait where it names one."""
    headers: dict[str, str] = {}
    if isinstance(refusal.facts.get("retry_after"), int | float):
        headers["Retry-After"] = wait_of(refusal)
    if refusal.kind is Kind.UNAUTHENTICATED:
        headers["WWW-Authenticate"] = 'Bearer realm="metachat"'
    return respond(problem(refusal, request.url.path), headers)


def wait_of(refusal: Refusal) -> str:
    """Whole seconds to wait, as `Retry-After` tells them."""
    return str(max(1, math.ceil(refusal.facts["retry_after"])))


def from_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Answer what the framework refused: no such route, a wrong method, input that is not valid."""
    if error.status_code >= 500:
        return from_bug(request, error)
    # Input that was read but breaks a rule is 422, like our own refusals; 400 is what cannot be read at all.
    broken_rule = isinstance(error, ValidationException)
    document = describe(422 if broken_rule else error.status_code, request.url.path)
    if broken_rule and isinstance(error.extra, list):
        document["errors"] = [_field_error(item) for item in error.extra if isinstance(item, dict)]
    elif error.status_code in (400, 415):
        document["detail"] = error.detail[:300]
    return respond(document, dict(error.headers or {}))


def from_unstorable(request: Request[Any, Any, Any], error: asyncpg.DataError) -> Response[bytes]:
    """Answer input that Postgres cannot hold, such as text with a NUL in it."""
    log.warning("input cannot be stored", error=type(error).__name__)
    return respond(describe(422, request.url.path) | {"detail": "a value cannot be stored as it is"}, {})


def from_bug(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer what should never happen; the log has the story, the answer just its number."""
    log.error("request failed", path=request.url.path, exc_info=error)
    return respond(describe(500, request.url.path), {})


def describe(status: int, path: str) -> dict[str, Any]:
    """Describe a status without a refusal of its own; carries the request's id for a report to us."""
    code, title = _SENTENCES.get(status, ("refused", HTTPStatus(status).phrase))
    document: dict[str, Any] = {
        "type": f"urn:metachat:problem:{code}", "title": title, "status": status, "code": code,
        "instance": redaction.hide(path),
    }  # fmt: skip
    if status >= 500 and (request_id := current("request_id")):
        document["request_id"] = request_id
    return document


def respond(document: dict[str, Any], headers: dict[str, str]) -> Response[bytes]:
    """Send a problem document."""
    body = redaction.hide(msgspec.json.encode(document, enc_hook=str).decode()).encode()
    return Response(body, status_code=document["status"], media_type=MEDIA_TYPE, headers=headers)


def _field_error(item: dict[str, Any]) -> dict[str, str]:
    return {"field": str(item.get("key", "")), "message": redaction.clean(str(item.get("message", "")))[:300]}


HANDLERS: ExceptionHandlersMap = {
    Refusal: from_refusal,
    HTTPException: from_http,
    asyncpg.DataError: from_unstorable,
    Exception: from_bug,
}
