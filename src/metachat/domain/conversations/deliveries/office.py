"""The post office of a worker: what it sends with, and the starts and ends of its sendings, in batches."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from metachat.domain.channels import Outgoing, Pace, Sender
from metachat.domain.conversations import progress
from metachat.domain.conversations.deliveries import store
from metachat.domain.conversations.deliveries.model import Delivery
from metachat.domain.conversations.deliveries.pacing import Pacer, Place
from metachat.domain.conversations.model import Gathered
from metachat.foundation.clock import now
from metachat.foundation.db import Database, Transaction
from metachat.foundation.gathering import Gathering, by_tenant, step
from metachat.foundation.ids import MessageId, TenantId
from metachat.foundation.keyring import Keyring
from metachat.foundation.prefetch import Prefetch
from metachat.foundation.queue import Job, ending, note_over, tenant_of


@dataclass(frozen=True, slots=True)
class Taken:
    """A provider has taken the last part of a message; note is what its detail tells of that."""

    job: Job
    message: MessageId
    part: int
    provider_id: str
    note: dict[str, Any] = field(default_factory=dict)


class Office:
    """What a worker's deliveries share.

    key opens the channels' credentials; read_of gives the bytes of a tenant's files. outcome_wait is how many
    seconds a provider has to tell of a message that it may have taken, before that is sent again.
    """

    def __init__(
        self,
        database: Database,
        senders: Mapping[str, Sender],
        key: Keyring,
        read_of: Callable[[TenantId], Callable[[str], AsyncIterator[bytes]]],
        outcome_wait: float = 10,
    ) -> None:
        self.database = database
        self.senders = senders
        self.key = key
        self.read_of = read_of
        self.outcome_wait = outcome_wait
        self._pacer = Pacer(database)
        self._places: Prefetch[MessageId, Place] = Prefetch()
        self._starts: Gathering[tuple[TenantId, MessageId], Delivery | None] = Gathering(self._start)
        self._ends: Gathering[Taken, bool] = Gathering(self._end)

    def foresee(self, gathered: Gathered, message: MessageId) -> None:
        """Ask early when a message may go that will be sent where this is answered; returns at once."""
        sender = self.senders.get(gathered.channel.kind)
        if sender is None or gathered.channel.status != "active":
            return

        async def ask() -> Place:
            outgoing = Outgoing(message, to=gathered.conversation.external_id, text="", reference="")
            return await self._pacer.take(sender.paces(gathered.channel, outgoing))

        self._places.begin(message, ask)

    async def place(self, message: MessageId, paces: tuple[Pace, ...]) -> Place:
        """Tell when a message, or its next part, may go."""
        return await self._places.take(message) or await self._pacer.take(paces)

    async def start(self, tenant: TenantId, message: MessageId) -> Delivery | None:
        """Mark durably that a call is about to be made; None when the message needs none any more."""
        return await self._starts.add((tenant, message))

    async def end(self, taken: Taken) -> bool:
        """Note that a message was taken, and end its job; False where that is another worker's now."""
        return await self._ends.add(taken)

    async def _start(self, asked: Sequence[tuple[TenantId, MessageId]]) -> list[Delivery | None]:
        found: dict[MessageId, Delivery] = {}
        groups = by_tenant(asked)
        async with step(self.database, groups) as db:
            for tenant, messages in sorted(groups.items()):
                values = {"messages": messages, "outcome_wait": self.outcome_wait}
                for row in await db.all(store.START, tenant=tenant, **values):
                    found[row["message"]] = read_begun(row["begun"])
        return [found.get(message) for _, message in asked]

    async def _end(self, ends: Sequence[Taken]) -> list[bool]:
        ended: set[int] = set()
        groups = by_tenant((tenant_of(taken.job), taken) for taken in ends)
        async with step(self.database, groups) as db:
            for tenant, group in sorted(groups.items()):
                ended |= await _accept(db, tenant, group)
        return [taken.job.id in ended for taken in ends]


async def _accept(db: Transaction, tenant: TenantId, group: list[Taken]) -> set[int]:
    jobs = [taken.job for taken in group]
    rows = await db.all(
        store.ACCEPT,
        tenant=tenant, now=now(),
        messages=[taken.message for taken in group], parts=[taken.part for taken in group],
        providers=[taken.provider_id for taken in group], notes=[taken.note for taken in group],
        **ending(jobs),
    )  # fmt: skip
    for row in rows:
        if row["id"] is not None:
            progress.tell(db, tenant, row)
    return note_over(db, jobs, rows)


_begun = msgspec.json.Decoder(Delivery)


def read_begun(begun: str) -> Delivery:
    """Read a delivery whose call may be made, as the database has brought it together."""
    return _begun.decode(begun)
