"""What administrators enter of a WhatsApp channel: checked, sealed, and shown only as fingerprints."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from metachat.domain.channels.actions import configure, create
from metachat.domain.channels.managing import change, note_opening
from metachat.domain.channels.model import Channel
from metachat.domain.channels.whatsapp.settings import Credentials, opened, sealed
from metachat.foundation.errors import Invalid
from metachat.foundation.keyring import Keyring
from metachat.foundation.scope import Scope

_NEEDED = ("phone_number_id", "app_secret", "access_token")
SECRETS = ("app_secret", "access_token", "verify_token")

_ID = re.compile(r"[0-9]{5,30}")
_SECRET = re.compile(r"[\x21-\x7e]{8,2000}")
_TEMPLATE = re.compile(r"[a-z0-9_]{1,512}")
_LANGUAGE = re.compile(r"[a-zA-Z_]{2,15}")


class BadCredentials(Invalid):
    """What was given for the WhatsApp channel is not valid."""

    code = "bad_credentials"


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be changed of a channel; None leaves it as it is. A template's "" takes it away."""

    phone_number_id: str | None = None
    business_account_id: str | None = None
    app_secret: str | None = None
    access_token: str | None = None
    verify_token: str | None = None
    reopening_template: str | None = None
    reopening_language: str | None = None
    quiet_seconds: float | None = None

    def __repr__(self) -> str:
        return "Changes(...)"


async def open_channel(scope: Scope, key: Keyring, name: str, given: Changes) -> tuple[Channel, str]:
    """Open a WhatsApp channel; gives it and its verify token, shown this once. Raises BadCredentials."""
    for needed in _NEEDED:
        if not getattr(given, needed):
            raise BadCredentials(f"{needed} is missing", field=needed)
    channel, token = await create(scope, "whatsapp", name), secrets.token_urlsafe(24)
    settings, _ = changed(channel, key, replace(given, verify_token=token))
    channel = await configure(scope, channel.id, name=name, settings=settings, status="active")
    return await note_opening(scope, channel), token


async def change_channel(
    scope: Scope, key: Keyring, channel: Channel, changes: Changes, name: str | None = None
) -> Channel:
    """Change a WhatsApp channel; doors pick it up within seconds. Raises BadCredentials."""
    settings, what = changed(channel, key, changes)
    what = what if name is None else [*what, "name"]
    return await change(scope, channel, name=name or channel.name, settings=settings, changed=what)


async def renew_verify_token(scope: Scope, key: Keyring, channel: Channel) -> tuple[Channel, str]:
    """Give a channel a new verify token, to be shown this once; the one before no longer counts."""
    token = secrets.token_urlsafe(24)
    return await change_channel(scope, key, channel, Changes(verify_token=token)), token


def changed(channel: Channel, key: Keyring, changes: Changes) -> tuple[dict[str, Any], list[str]]:
    """Gives a channel's settings with the changes, and what was changed; raises BadCredentials."""
    before = opened(channel, key)
    given: dict[str, str] = {}
    for name in ("phone_number_id", "business_account_id", *SECRETS):
        value: str | None = getattr(changes, name)
        if value is not None and value.strip() != getattr(before, name):
            given[name] = _checked(name, value.strip())
    after = Credentials(**{name: given.get(name, getattr(before, name)) for name in before.__slots__})
    settings = {**channel.settings, **sealed(channel, key, after)}
    others = {
        name: value for name, value in _others(changes, settings).items() if value != settings.get(name)
    }
    return {**settings, **others}, [*given, *others]


def fingerprints(channel: Channel, key: Keyring) -> dict[str, str | None]:
    """A short sign of each secret by which two can be told apart; None where none is set, or none opens."""
    credentials = opened(channel, key)
    return {name: _fingerprint(key, name, getattr(credentials, name)) for name in SECRETS}


def _fingerprint(key: Keyring, name: str, value: str) -> str | None:
    if not value:
        return None
    # Keyed, so that nobody can try guesses on it.
    return hmac.new(key.current.value, f"fingerprint:{name}:{value}".encode(), hashlib.sha256).hexdigest()[:8]


def _checked(name: str, value: str) -> str:
    if name.endswith("_id"):
        if not _ID.fullmatch(value):
            raise BadCredentials(f"{name} is a number of 5 to 30 digits, not a telephone number", field=name)
    elif not _SECRET.fullmatch(value):
        raise BadCredentials(f"{name} has at least 8 visible characters and no spaces", field=name)
    return value


def _others(changes: Changes, settings: Mapping[str, Any]) -> dict[str, Any]:
    others: dict[str, Any] = {}
    if changes.quiet_seconds is not None:
        if not 0 <= changes.quiet_seconds <= 30:
            raise BadCredentials("quiet_seconds lies between 0 and 30", field="quiet_seconds")
        others["quiet_seconds"] = changes.quiet_seconds
    if changes.reopening_template is not None:
        others["reopening_template"] = _template(changes, settings)
    return others


def _template(changes: Changes, settings: Mapping[str, Any]) -> dict[str, Any] | None:
    if not changes.reopening_template:
        return None
    before = settings.get("reopening_template")
    known = before.get("language") if isinstance(before, dict) else None
    language = changes.reopening_language or (known if isinstance(known, str) else "en_US")
    if not _TEMPLATE.fullmatch(changes.reopening_template) or not _LANGUAGE.fullmatch(language):
        raise BadCredentials("a template has a name like hello_world and a language like en_US")
    kept = before if isinstance(before, dict) and before.get("name") == changes.reopening_template else {}
    return {**kept, "name": changes.reopening_template, "language": language}
