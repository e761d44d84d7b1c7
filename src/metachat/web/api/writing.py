"""Writes: one transaction, and with an Idempotency-Key one effect, however often the request comes."""

import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import msgspec
from litestar import MediaType, Response

from metachat.domain import accounts
from metachat.domain.accounts import Answer, Role
from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.keyring import Keyring
from metachat.foundation.scope import Scope
from metachat.web import access
from metachat.web.access import AnyRequest

T = TypeVar("T")

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class KeyInvalid(Refusal):
    """An Idempotency-Key has 1 to 255 visible ASCII characters."""

    code, kind = "idempotency_key_invalid", Kind.INVALID


@dataclass(frozen=True, slots=True)
class Rights:
    """What a write takes: a member's role, and what an API key must hold (None lets no key in)."""

    role: Role
    api_scope: str | None = None


async def write(
    request: AnyRequest, rights: Rights, work: Callable[[Scope], Awaitable[T]], *, status: int = 201
) -> Response[T]:
    """Do the work in the asker's scope and answer it; with an Idempotency-Key seen before, answer as then.

    The key's answer commits with the work, so that neither is ever there without the other.
    """
    key = request.headers.get("idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        raise KeyInvalid()
    body = await request.body()  # before the transaction, since it may come slowly
    async with access.scope(request, rights.role, api_scope=rights.api_scope) as scope:
        if key is None:
            return Response(await work(scope), status_code=status)
        fingerprint, sealing = _fingerprint(request, scope.actor, body), _sealing_key(request)
        before = await accounts.recall(scope, key, fingerprint, sealing)
        if before is not None:
            return _answer(before, {"Idempotency-Replayed": "true"})
        answer = Answer(status, msgspec.json.encode(await work(scope)))
        await accounts.keep(scope, key, fingerprint, answer, sealing)
        return _answer(answer, {})


async def allowed(request: AnyRequest, rights: Rights) -> access.Grant:
    """Tell who asks, if they may write: for what must be refused before anything costly is done."""
    async with access.scope(request, rights.role, api_scope=rights.api_scope):
        return access.grant(request)


def _answer(answer: Answer, headers: dict[str, str]) -> Response[Any]:
    return Response(
        cast(Any, answer.body), status_code=answer.status, media_type=MediaType.JSON, headers=headers
    )


def _fingerprint(request: AnyRequest, actor: str, body: bytes) -> str:
    asked = f"{actor}\n{request.method}\n{request.url.path}?{request.url.query}\n".encode()
    return hashlib.sha256(asked + body).hexdigest()


def _sealing_key(request: AnyRequest) -> Keyring:
    return access.platform_of(request).encryption_key
