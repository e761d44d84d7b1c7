"""A WhatsApp channel's settings: which number it is, and the secrets it needs, sealed."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from metachat.domain.channels.actions import configure, create
from metachat.domain.channels.model import Channel
from metachat.foundation.crypto import SealBroken
from metachat.foundation.ids import ChannelId, TenantId
from metachat.foundation.keyring import Keyring
from metachat.foundation.scope import Scope
from metachat.foundation.sealed_columns import ACCESS_TOKENS, APP_SECRETS, VERIFY_TOKENS
from metachat.foundation.sealing import seal, unseal

_SEALED = {column.path: column for column in (APP_SECRETS, ACCESS_TOKENS, VERIFY_TOKENS)}


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a channel is known by and proves itself with; "" is what nobody has told yet."""

    phone_number_id: str = ""
    business_account_id: str = ""
    app_secret: str = ""
    access_token: str = ""
    verify_token: str = ""

    def __repr__(self) -> str:
        return f"Credentials(phone_number_id={self.phone_number_id!r}, ...)"


async def connect(scope: Scope, key: Keyring, name: str, credentials: Credentials) -> Channel:
    """Open a WhatsApp channel; its secrets are sealed for this one place in the database."""
    channel = await create(scope, "whatsapp", name)
    settings = sealed(channel, key, credentials)
    return await configure(scope, channel.id, name=name, settings=settings, status="active")


def sealed(channel: Channel, key: Keyring, credentials: Credentials) -> dict[str, Any]:
    """Credentials as they are stored."""
    settings: dict[str, Any] = {
        "phone_number_id": credentials.phone_number_id,
        "business_account_id": credentials.business_account_id,
    }
    for name, column in _SEALED.items():
        value: str = getattr(credentials, name)
        if value:
            place = column.place(channel.tenant_id, channel.id)
            settings[name] = column.stored(seal(key, value.encode(), place))
    return settings


def opened(channel: Channel, key: Keyring) -> Credentials:
    """Credentials of a stored channel; a secret that doesn't open here counts as none."""
    names = ("phone_number_id", "business_account_id")
    plain = {name: _text(channel.settings, name) for name in names}
    return Credentials(**plain, **{name: _opened(channel, key, name) for name in _SEALED})


def secret(
    channel: Channel, key: Keyring, name: Literal["app_secret", "access_token", "verify_token"]
) -> str:
    """One of a stored channel's secrets; "" when there is none that opens here."""
    return _opened(channel, key, name)


def _opened(channel: Channel, key: Keyring, name: str) -> str:
    stored = _text(channel.settings, name)
    return _unsealed(channel.tenant_id, channel.id, key, stored, name) if stored else ""


# Every webhook and every message asks again for the same few.
@functools.lru_cache(maxsize=1024)
def _unsealed(tenant: TenantId, channel: ChannelId, key: Keyring, stored: str, name: str) -> str:
    column = _SEALED[name]
    try:
        return unseal(key, column.sealed(stored), column.place(tenant, channel)).decode()
    except SealBroken:
        return ""


def _text(settings: Mapping[str, Any], name: str) -> str:
    value = settings.get(name, "")
    return value if isinstance(value, str) else ""
