"""What a tenant's administrators do with channels; each action leaves an audit row."""

from collections.abc import Mapping
from typing import Any, Literal

from metachat.domain import accounts, events
from metachat.domain.channels import health, updates
from metachat.domain.channels.actions import configure, find
from metachat.domain.channels.model import Channel
from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.ids import ChannelId
from metachat.foundation.scope import Scope


class WrongKind(Refusal):
    """This does not fit the channel's kind."""

    code, kind = "wrong_channel_kind", Kind.CONFLICT


async def pause(scope: Scope, id: ChannelId) -> Channel:
    """Pause a channel: a web chat says so to its visitors, a provider's updates are kept for later."""
    channel = await _turn(scope, await find(scope, id), "paused")
    await health.resolve(scope, id)  # silence is what was asked for
    return channel


async def resume(scope: Scope, id: ChannelId) -> Channel:
    """Resume a channel, and have everything understood that came meanwhile, in its order."""
    # The order matters: whoever leaves an update alone holds the channel's row until it is left.
    channel = await _turn(scope, await find(scope, id), "active")
    await updates.wake_held(scope, id)
    return channel


async def change(
    scope: Scope, channel: Channel, *, name: str, settings: Mapping[str, Any], changed: list[str]
) -> Channel:
    """Change a channel's name and settings; changed names what, for the audit trail, never its value."""
    made = await configure(scope, channel.id, name=name, settings=settings, status=channel.status)
    await accounts.record_audit(scope, "channel.changed", target=str(channel.id), changed=changed)
    return made


async def note_opening(scope: Scope, channel: Channel) -> Channel:
    """Note that a channel was opened."""
    about = {"name": channel.name, "channel_kind": channel.kind}
    await accounts.record_audit(scope, "channel.opened", target=str(channel.id), **about)
    await events.record(scope, "channel.opened", subject=channel.id, channel_kind=channel.kind)
    return channel


async def _turn(scope: Scope, channel: Channel, status: Literal["active", "paused"]) -> Channel:
    if channel.kind == "test":
        raise WrongKind("the channel of the tenant's own trials is always open")
    if channel.status == status:
        return channel
    about = {"name": channel.name, "settings": channel.settings}
    turned = await configure(scope, channel.id, **about, status=status)
    action = "channel.paused" if status == "paused" else "channel.resumed"
    await accounts.record_audit(scope, action, target=str(channel.id))
    await events.record(scope, action, subject=channel.id)
    return turned
