"""Channels: list, open, change, pause and resume."""

from uuid import UUID

import msgspec
from litestar import Response, get, patch, post
from litestar.params import FromPath

from metachat.domain import channels
from metachat.domain.accounts import ApiScope, Role
from metachat.domain.channels import Channel, WrongKind, webchat
from metachat.domain.channels.webchat import WebchatSettings, settings_of
from metachat.domain.channels.whatsapp import connecting
from metachat.foundation.ids import ChannelId
from metachat.foundation.keyring import Keyring
from metachat.foundation.scope import Scope
from metachat.web import access
from metachat.web.access import AnyRequest
from metachat.web.api.channel_views import (
    ChannelChange,
    ChannelView,
    NewChannel,
    OpenedChannel,
    WebchatFields,
    WhatsAppFields,
    channel_view,
)
from metachat.web.api.paging import Page
from metachat.web.api.writing import Rights, write

MAY_WRITE = Rights(Role.ADMIN, ApiScope.CHANNELS_WRITE)


@get("/channels", tags=["Channels"])
async def list_channels(request: AnyRequest) -> Page[ChannelView]:
    """List channels with their state, oldest first; there are few, so that there is one page."""
    async with access.scope(request, Role.ADMIN, api_scope=ApiScope.CHANNELS_READ) as scope:
        found = await channels.standings(scope)
    return Page([_shown(request, standing) for standing in found], None)


@post("/channels", tags=["Channels"])
async def open_channel(request: AnyRequest, data: NewChannel) -> Response[OpenedChannel]:
    """Open a channel; what Meta's console wants of a WhatsApp channel is in the answer."""

    async def work(scope: Scope) -> OpenedChannel:
        made, token = await _opened(scope, access.platform_of(request).encryption_key, data)
        return OpenedChannel(_shown(request, await channels.standing(scope, made.id)), token or None)

    return await write(request, MAY_WRITE, work)


@get("/channels/{id:uuid}", tags=["Channels"])
async def show_channel(request: AnyRequest, id: FromPath[UUID]) -> ChannelView:
    """Show a channel."""
    async with access.scope(request, Role.ADMIN, api_scope=ApiScope.CHANNELS_READ) as scope:
        return _shown(request, await channels.standing(scope, ChannelId(id)))


@patch("/channels/{id:uuid}", tags=["Channels"])
async def change_channel(request: AnyRequest, id: FromPath[UUID], data: ChannelChange) -> ChannelView:
    """Change a channel; what is left out stays, and doors pick it up within seconds."""
    async with access.scope(request, MAY_WRITE.role, api_scope=MAY_WRITE.api_scope) as scope:
        channel = await channels.find(scope, ChannelId(id))
        await _changed(scope, access.platform_of(request).encryption_key, channel, data)
        return _shown(request, await channels.standing(scope, channel.id))


@post("/channels/{id:uuid}/pause", tags=["Channels"], status_code=200)
async def pause_channel(request: AnyRequest, id: FromPath[UUID]) -> Response[ChannelView]:
    """Pause a channel; what a provider delivers meanwhile is kept for when it is resumed."""

    async def work(scope: Scope) -> ChannelView:
        await channels.pause(scope, ChannelId(id))
        return _shown(request, await channels.standing(scope, ChannelId(id)))

    return await write(request, MAY_WRITE, work, status=200)


@post("/channels/{id:uuid}/resume", tags=["Channels"], status_code=200)
async def resume_channel(request: AnyRequest, id: FromPath[UUID]) -> Response[ChannelView]:
    """Resume a channel; what came meanwhile is understood now, in its order."""

    async def work(scope: Scope) -> ChannelView:
        await channels.resume(scope, ChannelId(id))
        return _shown(request, await channels.standing(scope, ChannelId(id)))

    return await write(request, MAY_WRITE, work, status=200)


@post("/channels/{id:uuid}/verify-token", tags=["Channels"], status_code=200)
async def renew_verify_token(request: AnyRequest, id: FromPath[UUID]) -> Response[OpenedChannel]:
    """Make a new verify token for Meta's console, shown this once."""
    key = access.platform_of(request).encryption_key

    async def work(scope: Scope) -> OpenedChannel:
        channel = _of_kind(await channels.find(scope, ChannelId(id)), "whatsapp")
        channel, token = await connecting.renew_verify_token(scope, key, channel)
        return OpenedChannel(_shown(request, await channels.standing(scope, channel.id)), token)

    return await write(request, MAY_WRITE, work, status=200)


async def _opened(scope: Scope, key: Keyring, data: NewChannel) -> tuple[Channel, str]:
    if data.kind == "webchat":
        _no_other(data.whatsapp)
        look = (data.webchat or WebchatFields()).on(WebchatSettings())
        return await webchat.open_channel(scope, data.name, look), ""
    _no_other(data.webchat)
    given = (data.whatsapp or WhatsAppFields()).changes()
    return await connecting.open_channel(scope, key, data.name, given)


async def _changed(scope: Scope, key: Keyring, channel: Channel, data: ChannelChange) -> None:
    if channel.kind == "whatsapp":
        _no_other(data.webchat)
        changes = (data.whatsapp or WhatsAppFields()).changes()
        await connecting.change_channel(scope, key, channel, changes, data.name)
    elif channel.kind == "webchat":
        _no_other(data.whatsapp)
        look = (data.webchat or WebchatFields()).on(settings_of(channel))
        await webchat.change_channel(scope, channel, look, data.name)
    else:
        raise WrongKind(channel.kind)


def _no_other(fields: msgspec.Struct | None) -> None:
    if fields is not None:
        raise WrongKind("those are another kind's settings")


def _of_kind(channel: Channel, kind: str) -> Channel:
    if channel.kind != kind:
        raise WrongKind(channel.kind)
    return channel


def _shown(request: AnyRequest, standing: channels.Standing) -> ChannelView:
    platform = access.platform_of(request)
    return channel_view(platform.settings, platform.encryption_key, standing)


ROUTES = [
    list_channels, open_channel, show_channel, change_channel, pause_channel, resume_channel,
    renew_verify_token,
]  # fmt: skip
