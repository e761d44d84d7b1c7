"""Answers to writes, kept for a day, so that a request sent twice is done once (Idempotency-Key)."""

from dataclasses import dataclass
from datetime import timedelta

from metachat.domain.accounts import store
from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.keyring import Keyring
from metachat.foundation.scope import Scope
from metachat.foundation.sealed_columns import ANSWERS
from metachat.foundation.sealing import seal, unseal

KEPT_FOR = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered: the HTTP status and the encoded body."""

    status: int
    body: bytes


class KeyReused(Refusal):
    """This Idempotency-Key came with another request before; take a new key for a new request."""

    code, kind = "idempotency_key_reused", Kind.INVALID


class StillRunning(Refusal):
    """A request with this Idempotency-Key is still running; ask again shortly."""

    code, kind = "request_still_running", Kind.CONFLICT


async def recall(scope: Scope, key: str, request_hash: str, sealing_key: Keyring) -> Answer | None:
    """Return what the same request was answered, or None when it is new and now ours to do.

    Raises StillRunning while another transaction works on it, KeyReused for another request.
    """
    if not await scope.db.value(store.CLAIM_ANSWER, tenant=str(scope.tenant), key=key):
        raise StillRunning(retry_after=1)
    since = scope.now - KEPT_FOR
    row = await scope.db.one(store.ANSWER, tenant=scope.tenant, key=key, since=since)
    if row is None:
        await scope.db.execute(store.FORGET_ANSWERS, tenant=scope.tenant, since=since)
        return None
    if row["request_hash"] != request_hash:
        raise KeyReused()
    return Answer(row["status"], unseal(sealing_key, row["body_sealed"], ANSWERS.place(scope.tenant, key)))


async def keep(scope: Scope, key: str, request_hash: str, answer: Answer, sealing_key: Keyring) -> None:
    """Keep an answer in the transaction of the work: both stay, or neither."""
    await scope.db.execute(
        store.KEEP_ANSWER, tenant=scope.tenant, key=key, request_hash=request_hash, status=answer.status,
        body_sealed=seal(sealing_key, answer.body, ANSWERS.place(scope.tenant, key)), now=scope.now,
    )  # fmt: skip
