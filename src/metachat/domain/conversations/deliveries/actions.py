"""The job "deliver": a message of ours goes to its provider, once, in its conversation's order."""

import asyncio
from dataclasses import replace
from typing import Any, NoReturn
from uuid import UUID

import asyncpg

from metachat.domain.channels import NotSent, Outgoing, Sender, WindowClosed, health
from metachat.domain.conversations import progress
from metachat.domain.conversations.deliveries import store
from metachat.domain.conversations.deliveries.failing import fail
from metachat.domain.conversations.deliveries.model import Delivery, described, pause_before
from metachat.domain.conversations.deliveries.office import Office, Taken, read_begun
from metachat.foundation.clock import now
from metachat.foundation.counts import count
from metachat.foundation.db import DatabaseAway
from metachat.foundation.ids import MessageId, TenantId
from metachat.foundation.log import log
from metachat.foundation.queue import Job, LeaseLost, Postpone, finish
from metachat.foundation.scope import open_scope

_PAUSED = 60.0
# Before the queue lays a job aside that fails over and over, its message fails where people see it.
_FAILURES = 6
# How long a worker holds on to the news that a message was taken while the database is away.
_HELD_SECONDS = 60.0

_OUT_OF_TIME = "It could not be sent within 24 hours."
_NO_SENDER = NotSent("give_up", "This installation cannot send to channels of this kind.")
_BROKEN = NotSent("give_up", "Sending it failed over and over for an unknown reason; see the worker's log.")


async def deliver(job: Job, office: Office) -> None:
    """Send one message: noted before the call, its outcome noted after it, no transaction open meanwhile.

    Raises Postpone when it has to wait, with its conversation's later messages behind it.
    """
    assert job.tenant is not None, "a delivery has a tenant"
    message = MessageId(UUID(job.payload["message"]))
    if job.attempts >= _FAILURES:
        await _fail(job, office, job.tenant, message, _BROKEN)
        return
    brought = None if job.brought is None else read_begun(job.brought)
    delivery = brought or await office.start(job.tenant, message)
    if delivery is None:  # taken before, or deleted with its conversation
        return
    if not delivery.started:
        raise Postpone(max(delivery.wait, 0.05))
    try:
        await _send(job, office, delivery)
    except NotSent as failure:
        await _not_sent(job, office, delivery, failure)


async def _send(job: Job, office: Office, delivery: Delivery) -> None:
    sender = office.senders.get(delivery.channel.kind)
    if sender is None:
        raise _NO_SENDER
    await _wait_for_channel(office, delivery)
    if delivery.repeated:
        log.warning("sent again, its outcome never came", message=str(delivery.message))
    whole, note = _in_time(sender, delivery)
    try:
        await _hand_over(job, office, sender, delivery, whole, note)
    except WindowClosed as closed:
        # The provider's clock decides; what it refuses as free text may still go as a template.
        if whole.template is not None:
            raise
        whole, note = _reopened(sender, delivery, closed)
        await _hand_over(job, office, sender, delivery, whole, note)


async def _hand_over(
    job: Job, office: Office, sender: Sender, delivery: Delivery, whole: Outgoing, note: dict[str, Any]
) -> None:
    parts = sender.parts(whole)
    for part in range(min(delivery.part, len(parts) - 1), len(parts)):
        outgoing = replace(parts[part], reference=delivery.reference(part, len(parts)))
        provider_id = await _call(office, sender, delivery, outgoing)
        if part + 1 < len(parts):
            await _note_part(office, delivery, part)
        else:
            await _note_taken(office, Taken(job, delivery.message, part, provider_id, note))
            if delivery.repeated:  # the customer may have it twice
                count("deliveries", "repeated")
    if delivery.attempts or whole.template is not None:
        await _end_trouble(office, delivery)


async def _end_trouble(office: Office, delivery: Delivery) -> None:
    async with open_scope(office.database, delivery.channel.tenant_id, actor="worker") as scope:
        await health.end_trouble(scope, delivery.channel.id)


async def _wait_for_channel(office: Office, delivery: Delivery) -> None:
    if delivery.channel.status != "paused":
        return
    if delivery.outlived(now()):
        raise NotSent("give_up", f"The channel was paused. {_OUT_OF_TIME}")
    await _release(office, delivery)
    raise Postpone(_PAUSED)


def _in_time(sender: Sender, delivery: Delivery) -> tuple[Outgoing, dict[str, Any]]:
    """What may be sent now, with what its message's detail tells of it; raises WindowClosed."""
    outgoing, window = delivery.outgoing, sender.window.free_text
    heard = delivery.heard_at
    if outgoing.template is not None or window is None or (heard and now() - heard < window):
        return outgoing, {}
    return _reopened(sender, delivery, WindowClosed(_closed(window.total_seconds() / 3600)))


def _closed(hours: float) -> str:
    return f"The customer has not written for {hours:.0f} hours: only a template reaches them now."


def _reopened(sender: Sender, delivery: Delivery, closed: WindowClosed) -> tuple[Outgoing, dict[str, Any]]:
    template = sender.reopening(delivery.channel, delivery.outgoing)
    if template is None:
        raise closed
    return template, {"sent_as": {"template": (template.template or {}).get("name")}}


async def _call(office: Office, sender: Sender, delivery: Delivery, outgoing: Outgoing) -> str:
    place = await office.place(delivery.message, sender.paces(delivery.channel, outgoing))
    if not place.given:
        await _release(office, delivery)
        raise Postpone(place.wait)
    if place.wait:
        await asyncio.sleep(place.wait)
    read = office.read_of(delivery.channel.tenant_id)
    return (await sender.send(delivery.channel, office.key, outgoing, read)).provider_id


async def _release(office: Office, delivery: Delivery) -> None:
    async with open_scope(office.database, delivery.channel.tenant_id, actor="worker") as scope:
        await scope.db.execute(store.RELEASE, tenant=scope.tenant, message=delivery.message)


async def _note_part(office: Office, delivery: Delivery, part: int) -> None:
    tenant = delivery.channel.tenant_id
    async with open_scope(office.database, tenant, actor="worker") as scope:
        await scope.db.execute(store.ACCEPT_PART, tenant=tenant, message=delivery.message, part=part)
    # The next part's call is noted like the first one's.
    if (again := await office.start(tenant, delivery.message)) is None or not again.started:
        raise LeaseLost(str(delivery.conversation))


async def _note_taken(office: Office, taken: Taken) -> None:
    # Only this worker knows it: it must survive a restart of the database.
    deadline = asyncio.get_running_loop().time() + _HELD_SECONDS
    while True:
        try:
            ended = await office.end(taken)
            break
        except asyncpg.UniqueViolationError:
            # A provider that gives two messages one name; the second goes on without a useful one.
            taken = replace(taken, provider_id=f"{taken.provider_id[:200]}:{taken.message}")
        except DatabaseAway:
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(0.2)
    if not ended:
        raise LeaseLost(taken.job.lane)
    count("deliveries", "taken")


async def _not_sent(job: Job, office: Office, delivery: Delivery, failure: NotSent) -> None:
    tenant = delivery.channel.tenant_id
    log.warning(
        "a message was not sent", message=str(delivery.message), remedy=failure.remedy, code=failure.code,
        unsure=failure.unsure, reason=failure.reason, attempts=delivery.attempts,
    )  # fmt: skip
    if failure.remedy == "tell":
        await _tell(office, delivery, failure)
    lost = failure.remedy == "give_up" or (failure.remedy == "tell" and failure.concerns == "message")
    if lost:
        await _fail(job, office, tenant, delivery.message, failure)
    elif delivery.outlived(now()):
        reason = f"{failure.reason} {_OUT_OF_TIME}"
        await _fail(job, office, tenant, delivery.message, NotSent("give_up", reason, code=failure.code))
    else:
        await _put_off(office, delivery, failure)


async def _put_off(office: Office, delivery: Delivery, failure: NotSent) -> NoReturn:
    tenant = delivery.channel.tenant_id
    async with open_scope(office.database, tenant, actor="worker") as scope:
        row = await scope.db.one(
            store.PUT_OFF,
            tenant=tenant, message=delivery.message, unsure=failure.unsure, waiting=described(failure),
        )  # fmt: skip
        if row is not None:
            progress.tell(scope.db, tenant, row)
    count("deliveries", "put_off")
    raise Postpone(pause_before(delivery.attempts, failure, office.outcome_wait))


async def _fail(job: Job, office: Office, tenant: TenantId, message: MessageId, failure: NotSent) -> None:
    async with open_scope(office.database, tenant, actor="worker") as scope:
        await fail(scope, message, described(failure))
        await finish(scope.db, job)
    count("deliveries", "failed")


async def _tell(office: Office, delivery: Delivery, failure: NotSent) -> None:
    """Tell the tenant what is wrong with their channel, once until it is mended."""
    async with open_scope(office.database, delivery.channel.tenant_id, actor="worker") as scope:
        detail = {"code": failure.code, "reason": failure.reason[:500]}
        await health.note_trouble(scope, delivery.channel.id, failure.cause, detail)
