"""The web chat's own settings; its door is web.chat, and its delivery is the commit that readers follow."""

import re
from collections.abc import Iterable
from typing import Literal, get_args
from urllib.parse import urlsplit

import msgspec

from metachat.domain.channels.actions import create
from metachat.domain.channels.managing import change, note_opening
from metachat.domain.channels.model import Channel
from metachat.foundation.errors import Invalid
from metachat.foundation.scope import Scope

Position = Literal["right", "left"]
POSITIONS: tuple[Position, ...] = get_args(Position)

_COLOUR = re.compile(r"#[0-9a-f]{6}")
_ORIGINS = 50


class BadLook(Invalid):
    """The web chat cannot be set like this."""

    code = "bad_webchat_settings"


class WebchatSettings(msgspec.Struct, frozen=True):
    """How a web chat presents itself, and which pages may hold it.

    allowed_origins empty means that any page may; greeting and name "" mean the widget's own words. position
    is the side of the page that the line for the website names.
    """

    allowed_origins: tuple[str, ...] = ()
    title: str = ""
    greeting: str = ""
    accent: str = ""
    position: Position = "right"


def settings_of(channel: Channel) -> WebchatSettings:
    """Read a channel's settings; unknown ones are ignored, so that newer versions may add some."""
    return msgspec.convert(channel.settings, WebchatSettings)


def admits(settings: WebchatSettings, origin: str | None) -> bool:
    """Tell whether a page of this origin may hold the chat; None is a caller that is no browser."""
    return origin is None or not settings.allowed_origins or origin in settings.allowed_origins


def sound(settings: WebchatSettings) -> WebchatSettings:
    """Check settings that somebody entered, and bring them into their usual form; raises BadLook."""
    accent = settings.accent.strip().lower()
    if accent and not _COLOUR.fullmatch(accent):
        raise BadLook("a colour is written like #0d6b5b", field="accent")
    if len(settings.title) > 60 or len(settings.greeting) > 500:
        raise BadLook("a title has at most 60 characters, a greeting 500", field="title")
    return msgspec.structs.replace(
        settings,
        allowed_origins=_origins(settings.allowed_origins),
        title=settings.title.strip(),
        greeting=settings.greeting.strip(),
        accent=accent,
    )


async def open_channel(scope: Scope, name: str, settings: WebchatSettings) -> Channel:
    """Open a web chat; raises BadLook."""
    channel = await create(scope, "webchat", name, msgspec.to_builtins(sound(settings)))
    return await note_opening(scope, channel)


async def change_channel(
    scope: Scope, channel: Channel, settings: WebchatSettings, name: str | None = None
) -> Channel:
    """Change a web chat; raises BadLook."""
    wanted, before = msgspec.to_builtins(sound(settings)), channel.settings
    what = [field for field, value in wanted.items() if value != before.get(field)]
    what = what if name is None else [*what, "name"]
    kept = {**before, **wanted}
    return await change(scope, channel, name=name or channel.name, settings=kept, changed=what)


def snippet(address: str, channel: Channel) -> str:
    """The line that puts a web chat on a website."""
    side = ' data-position="left"' if settings_of(channel).position == "left" else ""
    return f'<script src="{address}/widget.js" data-channel="{channel.id}"{side} async></script>'


def _origins(given: Iterable[str]) -> tuple[str, ...]:
    origins = tuple(dict.fromkeys(_origin(text) for text in given if text.strip()))
    if len(origins) > _ORIGINS:
        raise BadLook(f"at most {_ORIGINS} origins can be listed", field="allowed_origins")
    return origins


def _origin(text: str) -> str:
    # Browsers name a page's origin without a path, in lower case, and without the usual port.
    try:
        parts = urlsplit(text.strip().rstrip("/"))
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    plain = not (parts.path or parts.query or parts.fragment or parts.username)
    if parts.scheme not in ("https", "http") or not parts.hostname or not plain or len(text) > 300:
        raise BadLook(
            f"{text.strip()[:80]!r} is no origin like https://www.shop.example", field="allowed_origins"
        )
    usual = {"https": 443, "http": 80}[parts.scheme]
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{port}" if port and port != usual else "")
