"""The job "inbox" for many lanes at once: what customers write becomes messages, in one transaction."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from metachat.domain.channels import Channel, Inbound, OtherNumber, Provider, Unparsed, quiet_seconds
from metachat.domain.conversations import arrivals, writing
from metachat.domain.conversations.actions import LONGEST_BURST, detail_of
from metachat.domain.conversations.model import Message, clean, preview
from metachat.domain.conversations.together import store
from metachat.domain.conversations.turns import HISTORY_LENGTH
from metachat.foundation.clock import now
from metachat.foundation.db import Database, DatabaseAway
from metachat.foundation.errors import Refusal
from metachat.foundation.gathering import FAULTS, Gathering, by_tenant, step
from metachat.foundation.ids import ConversationId, MessageId, TenantId, uuid7
from metachat.foundation.queue import Job, Succession, ending, note_over, tenant_of
from metachat.foundation.queue.store import wake
from metachat.foundation.scope import Scope

_REMEMBERED = 10_000


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

    @property
    def customer(self) -> tuple[UUID, str]:
        """Who writes: a name within a channel."""
        return self.inbound.channel, self.inbound.external_id


class _Waiting(msgspec.Struct):
    """An update as the database brings it, with its channel as it is now."""

    id: int
    channel_kind: str
    payload: bytes
    correlation_id: str | None
    channel: Channel


_updates = msgspec.json.Decoder(list[_Waiting])


class Reception:
    """Takes in what a worker's lanes bring: together what is plain, the rest lane by lane.

    Plain is a lane with one message in it, without a file, of somebody with one name, known or new.
    """

    def __init__(
        self,
        database: Database,
        providers: Mapping[str, Provider],
        foreseen: Callable[[TenantId, str], None] = lambda tenant, text: None,
    ) -> None:
        """Hear with `foreseen` what is about to be asked, while it is being stored; only in calm."""
        self._database = database
        self._providers = providers
        self._foreseen = foreseen
        # Who talked to people when they last wrote: nobody searches for what they write next.
        self._with_people: set[tuple[UUID, str]] = set()
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
        with ExitStack() as kept:
            async with step(self._database, groups) as db:
                for tenant, own in sorted(groups.items()):
                    scope = Scope(tenant, db, now(), "worker")
                    plain = await self._plain_of(scope, own)
                    if plain:
                        self._foresee(tenant, plain)
                        turns = kept.enter_context(Succession(plain[0].job, "conversation", len(plain)))
                        rows = await _receive(scope, plain, turns)
                        self._learn(plain, rows)
                        done |= note_over(scope.db, [one.job for one in plain], rows)
        return [job.id in done for job in jobs]

    def _foresee(self, tenant: TenantId, plain: Sequence[_Plain]) -> None:
        if len(plain) <= store.FEW and plain[0].job.calm:
            for one in plain:
                # With a quiet time, more may come before anybody answers.
                if not one.quiet and one.customer not in self._with_people:
                    self._foreseen(tenant, one.text)

    def _learn(self, plain: Sequence[_Plain], rows: Sequence[Mapping[str, Any]]) -> None:
        for row in rows:
            if row["place"] is not None:
                customer = plain[row["place"] - 1].customer
                if row["state"] == "assistant":
                    self._with_people.discard(customer)
                elif len(self._with_people) < _REMEMBERED:
                    self._with_people.add(customer)

    async def _plain_of(self, scope: Scope, jobs: Sequence[Job]) -> list[_Plain]:
        brought = {job.lane: job.brought for job in jobs}
        if unread := [lane for lane, updates in brought.items() if updates is None]:
            rows = await scope.db.all(store.WAITING, tenant=scope.tenant, lanes=unread)
            brought |= {row["lane"]: row["brought"] for row in rows}
        found = [(job, _waiting(brought[job.lane])) for job in jobs]
        alone = [(job, waiting[0]) for job, waiting in found if len(waiting) == 1]
        return [one for each in alone if (one := self._plain(*each)) is not None]

    def _plain(self, job: Job, row: _Waiting) -> _Plain | None:
        channel = row.channel
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


def _waiting(brought: str | None) -> list[_Waiting]:
    return _updates.decode(brought) if brought else []


async def _receive(scope: Scope, plain: Sequence[_Plain], turns: Succession) -> list[dict[str, Any]]:
    inbound = [one.inbound for one in plain]
    over = ending(one.job for one in plain)
    rows = await scope.db.all(
        store.receive(len(plain)),
        tenant=scope.tenant, now=scope.now, longest=float(LONGEST_BURST), beside=HISTORY_LENGTH,
        places=turns.count, holder=turns.owner, lease=turns.lease,
        channels=[one.channel for one in inbound], externals=[one.external_id for one in inbound],
        phones=[one.phone for one in inbound], names=[one.name for one in inbound],
        locales=[one.locale for one in inbound], contacts=[uuid7() for _ in plain],
        ids=[uuid7() for _ in plain], messages=(messages := [uuid7() for _ in plain]),
        texts=[one.text for one in plain], previews=[preview(one.text) for one in plain],
        provider_ids=[one.provider_id for one in inbound],
        provider_ats=[one.provider_at for one in inbound],
        details=[one.detail for one in plain], correlations=[one.correlation for one in plain],
        quiets=[one.quiet for one in plain], arrivals=[one.arrival for one in plain], **over,
    )  # fmt: skip
    begun = []
    for row in rows:
        if row["message"] is None:
            continue
        one, id = plain[row["place"] - 1], ConversationId(row["conversation"])
        message = _message(id, one, messages[row["place"] - 1], row["seq"], scope.now)
        writing.announced(scope, message, patience=writing.UNHURRIED)
        if row["turn"] is not None:
            payload = {"conversation": str(id)}
            begun.append(turns.job(row["turn"], "turn", str(id), payload, one.correlation, row["opened"]))
        elif row["state"] == "assistant":
            wake(scope.db, f"conversation:{id}", scope.tenant, row["after"])
    turns.begin(scope.db, begun)
    return rows


def _message(id: ConversationId, plain: _Plain, message: UUID, seq: int, at: datetime) -> Message:
    return Message(
        id=MessageId(message), conversation_id=id, seq=seq, author="customer", author_id=None,
        text=plain.text,
        provider_id=plain.inbound.provider_id, status="received", declined=False, citations=[],
        detail=plain.detail, answered_by=None, provider_at=plain.inbound.provider_at,
        created_at=at,
    )  # fmt: skip
