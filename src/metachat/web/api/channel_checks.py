"""What is asked of a channel's provider, outside of transactions: a test, a diagnosis, a subscription."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any, Protocol, runtime_checkable
from uuid import UUID

import msgspec
from litestar import post
from litestar.params import FromPath
from msgspec import Meta

from metachat.domain import accounts, channels
from metachat.domain.channels import (
    Channel,
    Diagnosis,
    NotSent,
    Outgoing,
    Sender,
    WrongKind,
    checking,
    health,
)
from metachat.foundation import clock
from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.ids import ChannelId, MessageId, uuid7
from metachat.foundation.keyring import Keyring
from metachat.web import access
from metachat.web.access import AnyRequest
from metachat.web.api.channel_views import Diagnosed, TemplateLanguage, callback_url, diagnosed
from metachat.web.api.channels import MAY_WRITE
from metachat.web.api.fields import Text

# A provider tells what became of a message by a webhook, usually within a second or two.
_PATIENCE = 10.0
_LOOK_AGAIN = 0.25
_SIGNATURES = ("signature_wrong", "signature_missing")
_ANY_TEMPLATE = ("hello_world", "en_US")  # Meta gives it to every account


class NothingToTest(Refusal):
    """A channel of this kind sends nothing through a provider; try its page instead."""

    code, kind = "nothing_to_test", Kind.CONFLICT


class NotSubscribed(Refusal):
    """The provider did not accept the subscription."""

    code, kind = "not_subscribed", Kind.CONFLICT


class TestMessage(msgspec.Struct, frozen=True):
    """A test message: free text for whoever wrote within 24 hours, otherwise an approved template."""

    to: Annotated[str, Meta(pattern=r"^\+?[0-9]{6,20}$", description="A number with its country code.")]
    text: Text | None = None
    template: Annotated[str, Meta(min_length=1, max_length=512, pattern=r"^[a-z0-9_]+$")] | None = None
    language: TemplateLanguage | None = None


class Tested(msgspec.Struct, frozen=True):
    """What the provider answered, and what it reported afterwards; status is null without a report."""

    accepted: bool
    provider_id: str | None
    status: str | None
    code: str
    reason: str


@runtime_checkable
class Subscribes(Protocol):
    """A sender that can have its provider deliver here."""

    async def subscribe(self, channel: Channel, key: Keyring, callback: str) -> None:
        """Have the provider deliver to this address; raises NotSent."""
        ...


@post("/channels/{id:uuid}/test", tags=["Channels"], status_code=200)
async def test_channel(request: AnyRequest, id: FromPath[UUID], data: TestMessage) -> Tested:
    """Send a real test message to a number, and tell what the provider answered."""
    channel, sender = await _reach(request, id, "channel.tested")
    platform = access.platform_of(request)
    outgoing = _outgoing(channel, data)
    try:
        accepted = await sender.send(channel, platform.encryption_key, outgoing, _nothing)
    except NotSent as error:
        return Tested(accepted=False, provider_id=None, status=None, code=error.code, reason=error.reason)
    return await _reported(request, channel, accepted.provider_id)


@post("/channels/{id:uuid}/diagnose", tags=["Channels"], status_code=200)
async def diagnose_channel(request: AnyRequest, id: FromPath[UUID]) -> Diagnosed:
    """Check a channel from end to end; each finding says what to do and where to click."""
    return diagnosed(await examine(request, ChannelId(id)))


@post("/channels/{id:uuid}/subscribe", tags=["Channels"], status_code=200)
async def subscribe_channel(request: AnyRequest, id: FromPath[UUID]) -> Diagnosed:
    """Have the provider deliver to this channel from now on, then check it."""
    await subscribe(request, ChannelId(id))
    return diagnosed(await examine(request, ChannelId(id)))


async def examine(request: AnyRequest, id: ChannelId) -> list[Diagnosis]:
    """Check a channel: what the platform knows, then what its provider says."""
    platform = access.platform_of(request)
    async with access.scope(request, MAY_WRITE.role, api_scope=MAY_WRITE.api_scope) as scope:
        standing = await channels.standing(scope, id)
        heard = await health.last_heard(scope, id)
    channel = standing.channel
    found = checking.of_channel(standing, heard, clock.now())
    sender = platform.senders.get(channel.kind)
    if sender is None:
        return found
    refused = {why: request.app.state.metrics.refused_hooks(channel.kind, why) for why in _SIGNATURES}
    callback = callback_url(platform.settings, channel)
    told = await sender.diagnose(channel, platform.encryption_key, callback)
    return [*found, checking.of_refusals(refused), *told]


async def subscribe(request: AnyRequest, id: ChannelId) -> None:
    """Have the provider deliver to a channel; raises NotSubscribed, NothingToTest."""
    platform = access.platform_of(request)
    channel, sender = await _reach(request, id, "channel.subscribed")
    if not isinstance(sender, Subscribes):
        raise WrongKind(channel.kind)
    try:
        await sender.subscribe(channel, platform.encryption_key, callback_url(platform.settings, channel))
    except NotSent as error:
        raise NotSubscribed(error.reason) from None


async def _reach(request: AnyRequest, id: UUID, action: str) -> tuple[Channel, Sender]:
    async with access.scope(request, MAY_WRITE.role, api_scope=MAY_WRITE.api_scope) as scope:
        channel = await channels.find(scope, ChannelId(id))
        sender = access.platform_of(request).senders.get(channel.kind)
        if sender is None:
            raise NothingToTest(channel.kind)
        await accounts.record_audit(scope, action, target=str(channel.id))
    return channel, sender


def _outgoing(channel: Channel, data: TestMessage) -> Outgoing:
    message, to = MessageId(uuid7()), data.to.lstrip("+")
    if data.text is not None:
        return Outgoing(message, to, data.text, reference=str(message))
    chosen = channel.settings.get("reopening_template")
    own = chosen if isinstance(chosen, dict) else {}
    # A template with places for words needs them; Meta's own has none.
    name = data.template or _ANY_TEMPLATE[0]
    language = data.language or (own.get("language") if name == own.get("name") else _ANY_TEMPLATE[1])
    return Outgoing(
        message, to, "", reference=str(message), template={"name": name, "language": {"code": language}}
    )


async def _reported(request: AnyRequest, channel: Channel, provider_id: str) -> Tested:
    told: tuple[str, dict[str, Any]] | None = None
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and (told is None or told[0] == "sent"):
        await asyncio.sleep(_LOOK_AGAIN)
        async with access.scope(request, MAY_WRITE.role, api_scope=MAY_WRITE.api_scope) as scope:
            told = await health.receipt(scope, channel.id, provider_id)
    status, detail = told or (None, {})
    errors = detail.get("errors")
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    why = str(first.get("detail") or first.get("title") or "")
    return Tested(
        accepted=True, provider_id=provider_id, status=status, code=str(first.get("code", "")), reason=why
    )


async def _nothing(_sha256: str) -> AsyncIterator[bytes]:
    yield b""


ROUTES = [test_channel, diagnose_channel, subscribe_channel]
