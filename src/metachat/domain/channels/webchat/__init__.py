"""The web chat's own settings; its door is web.chat, and its delivery is the commit that readers follow."""

import msgspec

from metachat.domain.channels.model import Channel


class WebchatSettings(msgspec.Struct, frozen=True):
    """How a web chat presents itself, and which pages may hold it.

    allowed_origins empty means that any page may; greeting and name "" mean the widget's own words.
    """

    allowed_origins: tuple[str, ...] = ()
    title: str = ""
    greeting: str = ""
    accent: str = ""


def settings_of(channel: Channel) -> WebchatSettings:
    """Read a channel's settings; unknown ones are ignored, so that newer versions may add some."""
    return msgspec.convert(channel.settings, WebchatSettings)


def admits(settings: WebchatSettings, origin: str | None) -> bool:
    """Tell whether a page of this origin may hold the chat; None is a caller that is no browser."""
    return origin is None or not settings.allowed_origins or origin in settings.allowed_origins
