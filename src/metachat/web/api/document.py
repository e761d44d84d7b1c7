"""The OpenAPI document: what the framework knows of the routes, and what holds for all of them."""

import re
from typing import Any

import msgspec
from litestar import Request
from litestar.enums import MediaType
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.openapi.spec import Components, Reference, SecurityScheme, Tag
from typing_extensions import override

from metachat.domain.accounts import ApiScope
from metachat.web.access import LOCAL_COOKIE, SECURE_COOKIE

_ABOUT = f"""\
Answers of your assistant, your knowledge, your conversations and your account.

Send an API key as `Authorization: Bearer mc_...`; a key does only what its scopes allow. Errors are problem
documents (RFC 9457) whose `code` is for programs and whose `title` is for people. Lists come in pages:
follow `next_cursor`. A POST with an `Idempotency-Key` has one effect, however often it is sent within a day.

Scopes of keys: {", ".join(f"`{scope.value}`" for scope in ApiScope)}.
"""
_TAGS = {
    "Ask": "One question, one whole answer with its sources.",
    "Knowledge": "The documents that answers rest on.",
    "Conversations": "What customers, the assistant and the team say to each other.",
    "Channels": "The doors through which customers write, and what came through them without effect.",
    "Assistant": "The models that speak for the assistant, and how they fare.",
    "Events": "What happened, in order.",
    "Tenant": "Your company's account and its audit trail.",
    "Members": "The people of the team and their roles.",
    "API keys": "Keys for programs.",
    "Session": "Signing in and out, for pages of this site.",
}
_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "code"],
    "properties": {
        "type": {"type": "string", "description": "Names the kind of problem."},
        "title": {"type": "string", "description": "A sentence for people."},
        "status": {"type": "integer", "description": "The HTTP status."},
        "code": {"type": "string", "description": "A word for programs."},
        "detail": {"type": "string", "description": "What exactly, this time."},
        "instance": {"type": "string", "description": "The address that was asked."},
        "request_id": {"type": "string", "description": "Name it when you report an error."},
    },
}
_ALWAYS = {
    "400": "The request cannot be read.",
    "401": "Nobody is signed in, and no valid key was sent.",
    "403": "This needs rights that you do not have.",
    "422": "The request is not valid.",
    "429": "Too many requests; `Retry-After` says how many seconds to wait, `RateLimit` which limit it was.",
    "503": "A service that this needs is away; try again shortly.",
}
_WRITING = {
    "409": "It collides with what is there.",
    "413": "The request is too large.",
    "415": "The media type is not supported.",
}
_MISSING = {"404": "There is no such thing, or it is another tenant's."}
_SUCCESS = {"200": "The answer.", "201": "It was made.", "202": "It was taken in.", "204": "Done."}
_PROBLEM_CONTENT = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
# A question changes nothing, the same file again neither; sessions and passwords are each their own; what is
# asked of a provider can't be taken back with a transaction.
_WITHOUT_KEY = {
    "ask", "upload", "attach", "sign_in", "change_password", "test_channel", "diagnose_channel",
    "subscribe_channel",
}  # fmt: skip
_REPEATABLE = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Makes a repeated request safe: it is answered as the first one was.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}


class Document(OpenAPIRenderPlugin):
    """Serves the document as JSON."""

    @override
    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """Write the document."""
        return msgspec.json.encode(complete(request))


def config() -> OpenAPIConfig:
    """Say what the document says of the API as a whole."""
    schemes: dict[str, SecurityScheme | Reference] = {
        "apiKey": SecurityScheme(type="http", scheme="bearer", description="An API key, `mc_...`."),
        "session": SecurityScheme(
            type="apiKey", security_scheme_in="cookie", name=SECURE_COOKIE,
            description=f"A signed-in person's cookie (`{LOCAL_COOKIE}` over plain HTTP on this machine).",
        ),
    }  # fmt: skip
    return OpenAPIConfig(
        title="metachat API", version="1", description=_ABOUT, path="/api/openapi.json",
        render_plugins=[Document(path="/", media_type=MediaType.JSON)],
        components=Components(security_schemes=schemes), security=[{"apiKey": []}, {"session": []}],
        tags=[Tag(name, description=sentence) for name, sentence in _TAGS.items()],
        use_handler_docstrings=True, operation_id_creator=_operation_id,
    )  # fmt: skip


def complete(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """The document of the application that serves this request, made once."""
    state = request.app.state
    if "document" not in state:
        state["document"] = _complete(msgspec.to_builtins(request.app.openapi_schema.to_schema()))
    return state["document"]


def _complete(document: dict[str, Any]) -> dict[str, Any]:
    components = document["components"]
    components["schemas"]["Problem"] = _PROBLEM
    components["responses"] = {
        f"Problem{status}": {"description": text, "content": _PROBLEM_CONTENT}
        for status, text in {**_ALWAYS, **_WRITING, **_MISSING}.items()
    }
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in ("get", "post", "patch", "put", "delete"):
                _complete_operation(path, method, operation)
    return document


def _complete_operation(path: str, method: str, operation: dict[str, Any]) -> None:
    responses = operation.setdefault("responses", {})
    for status, answer in responses.items():
        answer["description"] = _SUCCESS.get(status, answer["description"])
    if "204" in responses:
        responses["204"].pop("content", None)
    problems = [*_ALWAYS, *(_WRITING if method != "get" else ()), *(_MISSING if "{" in path else ())]
    responses.update({status: {"$ref": f"#/components/responses/Problem{status}"} for status in problems})
    told = operation.get("description", "")
    # The first clause is the title; whoever reads only titles still reads what the route does.
    operation["summary"] = re.split(r"[;:\n]", told, maxsplit=1)[0].rstrip(".")
    operation["description"] = told.removeprefix(operation["summary"] + ".\n").strip()
    if method == "post" and operation["operationId"] not in _WITHOUT_KEY:
        operation.setdefault("parameters", []).append(_REPEATABLE)


def _operation_id(handler: HTTPRouteHandler, method: Any, path: list[Any]) -> str:
    return handler.handler_name
