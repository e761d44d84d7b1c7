"""Pages of channels: the list, a channel, opening one, pausing it, its doctor."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from metachat.domain import channels
from metachat.domain.accounts import Role
from metachat.domain.channels import Diagnosis, Standing, WrongKind, webchat
from metachat.domain.channels.webchat import POSITIONS, BadLook, WebchatSettings, settings_of
from metachat.domain.channels.whatsapp import connecting
from metachat.domain.channels.whatsapp.connecting import BadCredentials, Changes
from metachat.foundation.errors import Invalid
from metachat.foundation.ids import ChannelId
from metachat.web import access
from metachat.web.api.channel_checks import examine, subscribe
from metachat.web.api.channel_views import channel_view
from metachat.web.dashboard.problems import explain
from metachat.web.dashboard.visit import AnyRequest, Visit, enter, fields, go, t

_LIST = "/dashboard/channels"
_BACK = {"back": _LIST}
_LONGEST_NAME = 200


class BadName(Invalid):
    """Give the channel a name of at most 200 characters."""

    code = "bad_channel_name"


@get(_LIST)
async def show_channels(request: AnyRequest) -> Response[str]:
    """List the channels."""
    async with enter(request, Role.ADMIN) as visit:
        return visit.page("channels/list.html", standings=await channels.standings(visit.scope))


@get(_LIST + "/new")
async def ask_for_kind(request: AnyRequest) -> Response[str]:
    """Ask which kind of channel."""
    async with enter(request, Role.ADMIN) as visit:
        return visit.page("channels/new.html")


@get(_LIST + "/new/whatsapp")
async def ask_for_whatsapp(request: AnyRequest) -> Response[str]:
    """Show the form for a WhatsApp channel."""
    async with enter(request, Role.ADMIN) as visit:
        return visit.page("channels/new_whatsapp.html", form=_entered({}), refused="")


@post(_LIST + "/new/whatsapp", status_code=200)
async def open_whatsapp(request: AnyRequest) -> Response[str]:
    """Open a WhatsApp channel, and show what Meta's console wants, this once."""
    form, key = await fields(request), access.platform_of(request).encryption_key
    async with enter(request, Role.ADMIN) as visit:
        try:
            async with visit.scope.db.savepoint():
                made, token = await connecting.open_channel(visit.scope, key, _name(form), _changes(form))
        except (BadCredentials, BadName) as refusal:
            shown = {"form": _entered(form), "refused": explain(refusal)}
            return visit.page("channels/new_whatsapp.html", status=422, **shown)
        return _console(visit, await channels.standing(visit.scope, made.id), token)


@get(_LIST + "/new/webchat")
async def ask_for_webchat(request: AnyRequest) -> Response[str]:
    """Show the form for a web chat."""
    async with enter(request, Role.ADMIN) as visit:
        return visit.page("channels/new_webchat.html", **_look({"name": t("channels", "website")}))


@post(_LIST + "/new/webchat", status_code=200)
async def open_webchat(request: AnyRequest) -> Response[str] | Redirect:
    """Open a web chat."""
    form = await fields(request)
    async with enter(request, Role.ADMIN) as visit:
        try:
            made = await webchat.open_channel(visit.scope, _name(form), _wanted_look(form))
        except (BadLook, BadName) as refusal:
            return visit.page("channels/new_webchat.html", status=422, **_look(form, explain(refusal)))
    return go(f"{_LIST}/{made.id}", t("channels", "opened"))


@get(_LIST + "/{id:uuid}")
async def show_channel(request: AnyRequest, id: FromPath[UUID]) -> Response[str]:
    """Show a channel and its settings."""
    async with enter(request, Role.ADMIN) as visit:
        return _detail(visit, await channels.standing(visit.scope, ChannelId(id)))


@post(_LIST + "/{id:uuid}", status_code=200)
async def change_channel(request: AnyRequest, id: FromPath[UUID]) -> Response[str] | Redirect:
    """Change a channel's settings; a secret that is left empty stays."""
    form, key = await fields(request), access.platform_of(request).encryption_key
    async with enter(request, Role.ADMIN) as visit:
        standing = await channels.standing(visit.scope, ChannelId(id))
        channel = standing.channel
        try:
            if channel.kind == "whatsapp":
                await connecting.change_channel(visit.scope, key, channel, _changes(form), _name(form))
            elif channel.kind == "webchat":
                await webchat.change_channel(visit.scope, channel, _wanted_look(form), _name(form))
        except (BadCredentials, BadLook, BadName) as refusal:
            return _detail(visit, standing, status=422, form=form, refused=explain(refusal))
    return go(f"{_LIST}/{id}", t("channels", "saved"))


@post(_LIST + "/{id:uuid}/pause", status_code=200, opt=_BACK)
async def pause(request: AnyRequest, id: FromPath[UUID]) -> Redirect:
    """Pause a channel."""
    async with enter(request, Role.ADMIN) as visit:
        await channels.pause(visit.scope, ChannelId(id))
    return go(f"{_LIST}/{id}", t("channels", "paused_now"))


@post(_LIST + "/{id:uuid}/resume", status_code=200, opt=_BACK)
async def resume(request: AnyRequest, id: FromPath[UUID]) -> Redirect:
    """Resume a channel."""
    async with enter(request, Role.ADMIN) as visit:
        await channels.resume(visit.scope, ChannelId(id))
    return go(f"{_LIST}/{id}", t("channels", "resumed_now"))


@post(_LIST + "/{id:uuid}/verify-token", status_code=200, opt=_BACK)
async def renew_verify_token(request: AnyRequest, id: FromPath[UUID]) -> Response[str]:
    """Make a new verify token and show it, this once."""
    key = access.platform_of(request).encryption_key
    async with enter(request, Role.ADMIN) as visit:
        channel = await channels.find(visit.scope, ChannelId(id))
        if channel.kind != "whatsapp":
            raise WrongKind(channel.kind)
        _, token = await connecting.renew_verify_token(visit.scope, key, channel)
        return _console(visit, await channels.standing(visit.scope, channel.id), token)


@post(_LIST + "/{id:uuid}/doctor", status_code=200, opt=_BACK)
async def show_doctor(request: AnyRequest, id: FromPath[UUID]) -> Response[str]:
    """Check a channel, and show what was found."""
    return await _examined(request, ChannelId(id), await examine(request, ChannelId(id)))


@post(_LIST + "/{id:uuid}/subscribe", status_code=200, opt=_BACK)
async def subscribe_channel(request: AnyRequest, id: FromPath[UUID]) -> Response[str]:
    """Have Meta deliver to a channel, then check it."""
    await subscribe(request, ChannelId(id))
    return await _examined(request, ChannelId(id), await examine(request, ChannelId(id)))


async def _examined(request: AnyRequest, id: ChannelId, checks: list[Diagnosis]) -> Response[str]:
    async with enter(request, Role.ADMIN) as visit:
        channel = await channels.find(visit.scope, id)
        return visit.page("channels/doctor.html", channel=channel, checks=checks)


def _console(visit: Visit, standing: Standing, token: str) -> Response[str]:
    return visit.page("channels/console.html", channel=_view(visit, standing), token=token)


def _detail(
    visit: Visit,
    standing: Standing,
    *,
    status: int = 200,
    form: dict[str, str] | None = None,
    refused: str = "",
) -> Response[str]:
    view = _view(visit, standing)
    given: dict[str, Any] = {"channel": view, "standing": standing, "refused": refused}
    if view.webchat is not None:
        look = settings_of(standing.channel)
        stored = {"name": view.name, **_shown(look)}
        return visit.page(
            "channels/webchat.html", status=status, **{**given, **_look(form or stored, refused)}
        )
    return visit.page("channels/channel.html", status=status, **given, form=_entered(form or {}))


def _view(visit: Visit, standing: Standing) -> Any:
    platform = access.platform_of(visit.request)
    return channel_view(platform.settings, platform.encryption_key, standing)


def _shown(look: WebchatSettings) -> dict[str, str]:
    kept = msgspec.structs.asdict(look)
    return {**kept, "allowed_origins": "\n".join(look.allowed_origins)}


def _look(form: dict[str, str], refused: str = "") -> dict[str, Any]:
    empty = {
        "name": "",
        "title": "",
        "greeting": "",
        "accent": "",
        "position": "right",
        "allowed_origins": "",
    }
    return {"form": {**empty, **form}, "positions": POSITIONS, "refused": refused}


def _name(form: dict[str, str]) -> str:
    name = " ".join(form.get("name", "").split())
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise BadName
    return name


def _entered(form: dict[str, str]) -> dict[str, str]:
    return {**dict.fromkeys(("name", "reopening_template", *_FIELDS), ""), **form}


def _changes(form: dict[str, str]) -> Changes:
    phone_number_id, account, app_secret, token, language = (
        form.get(name, "").strip() or None for name in _FIELDS
    )
    # An empty template is a choice, an empty secret is none.
    template = form.get("reopening_template")
    return Changes(
        phone_number_id=phone_number_id, business_account_id=account, app_secret=app_secret,
        access_token=token,
        reopening_template=None if template is None else template.strip(), reopening_language=language,
    )  # fmt: skip


_FIELDS = ("phone_number_id", "business_account_id", "app_secret", "access_token", "reopening_language")


def _wanted_look(form: dict[str, str]) -> WebchatSettings:
    position = next((one for one in POSITIONS if one == form.get("position")), POSITIONS[0])
    accent = form.get("accent", "") if form.get("own_accent") else ""
    return WebchatSettings(
        allowed_origins=tuple(form.get("allowed_origins", "").split()), title=form.get("title", ""),
        greeting=form.get("greeting", ""), accent=accent, position=position,
    )  # fmt: skip


ROUTES: list[Any] = [
    show_channels, ask_for_kind, ask_for_whatsapp, open_whatsapp, ask_for_webchat, open_webchat, show_channel,
    change_channel, pause, resume, renew_verify_token, show_doctor, subscribe_channel,
]  # fmt: skip
