"""The job "inbox" for many lanes at once: what customers write becomes messages, in one transaction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from metachat.domain.channels import Channel, Inbound, OtherNumber, Provider, Unparsed, quiet_seconds
from metachat.domain.channels.inbox import Row
from metachat.domain.conversations import arrivals, writing
from metachat.domain.conversations.actions import LONGEST_BURST, detail_of
from metachat.domain.conversations.model import Message, clean, preview
from metachat.domain.conversations.together import store
from metachat.foundation.clock import now
from metachat.foundation.db import Database, DatabaseAway
from metachat.foundation.errors import Refusal
from metachat.foundation.gathering import FAULTS, Gathering, as_each, by_tenant, only_tenant
from metachat.foundation.ids import ConversationId, MessageId, uuid7
from metachat.foundation.queue import Job, note_ended, tenant_of
from metachat.foundation.queue.store import wake
from metachat.foundation.scope import Scope


@dataclass(frozen=True, slots=True)
class _Plain:
    """A lane in which one message waits, of which everything is known that it takes."""

    job: Job
    arrival: int
    correlation: str | None
    inbound: Inbound
    text: str
    detail: dict[str, Any]
    quiet: float


class Reception:
    """Takes in what a worker's lanes bring: together what is plain, the rest lane by lane.

    Plain is a lane with one message in it, without a file, of somebody with one name, known or new.
    """

    def __init__(self, database: Database, providers: Mapping[str, Provider]) -> None:
        self._database = database
        self._providers = providers
        self._gathering: Gathering[Job, bool] = Gathering(self._take_in_together, writers=2)

    async def take_in(self, job: Job) -> None:
        """Understand what waits in a lane; see `arrivals.take_in`."""
        try:
            done = await self._gathering.add(job)
        except DatabaseAway:
            raise
        except FAULTS:
            done = False  # alone, it finds out which of its updates is to blame
        if not done:
            await arrivals.take_in(job, self._database, self._providers)

    async def _take_in_together(self, jobs: Sequence[Job]) -> list[bool]:
        done: set[int] = set()
        groups = by_tenant((tenant_of(job), job) for job in jobs)
        async with self._database.transaction(only_tenant(groups)) as db:
            async for tenant, own in as_each(db, groups):
                done |= await self._of_tenant(Scope(tenant, db, now(), "worker"), own)
            note_ended(db, jobs, done)
        return [job.id in done for job in jobs]

    async def _of_tenant(self, scope: Scope, jobs: Sequence[Job]) -> set[int]:
        by_lane = {job.lane: job for job in jobs}
        found: dict[str, list[tuple[Row, Channel]]] = {}
        for row in await scope.db.all(store.WAITING, tenant=scope.tenant, lanes=sorted(by_lane)):
            found.setdefault(row.pop("lane"), []).append(_row(scope, row))
        alone = [(by_lane[lane], *rows[0]) for lane, rows in found.items() if len(rows) == 1]
        plain = [one for each in alone if (one := self._plain(*each)) is not None]
        return await _receive(scope, await _placed(scope, plain)) if plain else set()

    def _plain(self, job: Job, row: Row, channel: Channel) -> _Plain | None:
        provider = self._providers.get(row.channel_kind)
        if channel.status != "active" or provider is None:
            return None
        try:
            read = provider.parse(row.payload, channel)
            if len(read) != 1 or not isinstance(read[0], Inbound) or "media" in read[0].detail:
                return None
            text = clean(read[0].text)
        except (Unparsed, OtherNumber, Refusal):
            return None
        quiet = quiet_seconds(channel.kind, channel.settings.get("quiet_seconds"))
        return _Plain(job, row.id, row.correlation_id, read[0], text, detail_of(read[0]), quiet)


def _row(scope: Scope, row: dict[str, Any]) -> tuple[Row, Channel]:
    settled = {name: row.pop(name) for name in ("name", "status", "settings", "created_at")}
    channel = Channel(scope.tenant, row["channel_id"], row["channel_kind"], **settled)
    return Row(**row), channel


async def _placed(scope: Scope, plain: Sequence[_Plain]) -> dict[ConversationId, _Plain]:
    """Find the conversation of each, or begin it; who has another name beside the one told is left out."""
    placed: dict[ConversationId, _Plain] = {}
    for row in await scope.db.all(store.CURRENT, tenant=scope.tenant, **_names(range(len(plain)), plain)):
        placed.setdefault(row["id"], plain[row["place"]])
    found = {one.arrival for one in placed.values()}
    if new := {place: one for place, one in enumerate(plain) if one.arrival not in found}:
        for row in await scope.db.all(store.BEGIN, tenant=scope.tenant, **_newcomers(new)):
            placed[row["id"]] = plain[row["place"]]
    return placed


def _names(places: Iterable[int], plain: Iterable[_Plain]) -> dict[str, Any]:
    inbound = [one.inbound for one in plain]
    return {
        "places": list(places), "channels": [one.channel for one in inbound],
        "externals": [one.external_id for one in inbound], "phones": [one.phone for one in inbound],
    }  # fmt: skip


def _newcomers(new: Mapping[int, _Plain]) -> dict[str, Any]:
    return {
        **_names(new, new.values()),
        "contacts": [uuid7() for _ in new], "ids": [uuid7() for _ in new],
        "names": [one.inbound.name for one in new.values()],
        "locales": [one.inbound.locale for one in new.values()],
        "correlations": [one.correlation for one in new.values()],
    }  # fmt: skip


async def _receive(scope: Scope, placed: Mapping[ConversationId, _Plain]) -> set[int]:
    if not placed:
        return set()
    ids, all_plain = list(placed), list(placed.values())
    rows = await scope.db.all(
        store.RECEIVE,
        tenant=scope.tenant, now=scope.now, longest=float(LONGEST_BURST),
        ids=ids, messages=[uuid7() for _ in ids],
        texts=[one.text for one in all_plain], previews=[preview(one.text) for one in all_plain],
        provider_ids=[one.inbound.provider_id for one in all_plain],
        provider_ats=[one.inbound.provider_at for one in all_plain],
        details=[one.detail for one in all_plain],
        correlations=[one.correlation for one in all_plain],
        quiets=[one.quiet for one in all_plain], arrivals=[one.arrival for one in all_plain],
        jobs=[one.job.id for one in all_plain],
        owners=list({one.job.lease.owner for one in all_plain}),
    )  # fmt: skip
    for row in rows:
        if row["id"] is not None:
            id = ConversationId(row["held"])
            writing.announced(scope, _message(id, placed[id], row["id"], row["seq"], scope.now))
            if row["state"] == "assistant":
                wake(scope.db, f"conversation:{id}", scope.tenant, row["after"])
    return {placed[row["held"]].job.id for row in rows if row["ended"]}


def _message(id: ConversationId, plain: _Plain, message: UUID, seq: int, at: datetime) -> Message:
    return Message(
        id=MessageId(message), conversation_id=id, seq=seq, author="customer", author_id=None,
        text=plain.text,
        provider_id=plain.inbound.provider_id, status="received", declined=False, citations=[],
        detail=plain.detail, answered_by=None, provider_at=plain.inbound.provider_at,
        created_at=at,
    )  # fmt: skip
