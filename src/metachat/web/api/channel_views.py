"""What the API shows of channels, and takes for them; secrets come in and never go out."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from metachat.domain.channels import Channel, Diagnosis, Standing
from metachat.domain.channels.health import Finding
from metachat.domain.channels.model import ChannelKind
from metachat.domain.channels.webchat import Position, WebchatSettings, settings_of, snippet
from metachat.domain.channels.whatsapp import connecting
from metachat.foundation.keyring import Keyring
from metachat.foundation.settings import Settings
from metachat.web.api.fields import Line

GivenSecret = Annotated[
    str, Meta(min_length=8, max_length=2000, pattern=r"^[\x21-\x7e]+$", description="Never shown again.")
]
GivenId = Annotated[str, Meta(min_length=5, max_length=30, pattern=r"^[0-9]+$")]
TemplateName = Annotated[
    str,
    Meta(max_length=512, pattern=r"^[a-z0-9_]*$", description='Name of an approved template; "" for none.'),
]
TemplateLanguage = Annotated[str, Meta(min_length=2, max_length=15, pattern=r"^[a-zA-Z_]+$")]
QuietSeconds = Annotated[
    float, Meta(ge=0, le=30, description="How long a customer must be quiet before the answer is made.")
]
Greeting = Annotated[str, Meta(max_length=500, pattern=r"^[^\x00]*$")]
Title = Annotated[str, Meta(max_length=60, pattern=r"^[^\x00]*$")]
Accent = Annotated[str, Meta(max_length=7, pattern=r"^(#[0-9a-fA-F]{6})?$", description="Like #0d6b5b.")]
Origins = Annotated[list[Annotated[str, Meta(max_length=300, pattern=r"^[^\x00]*$")]], Meta(max_length=50)]


class WhatsAppFields(msgspec.Struct, frozen=True):
    """What Meta's console tells of a WhatsApp number; what is left out stays as it is."""

    phone_number_id: GivenId | None = None
    business_account_id: GivenId | None = None
    app_secret: GivenSecret | None = None
    access_token: GivenSecret | None = None
    reopening_template: TemplateName | None = None
    reopening_language: TemplateLanguage | None = None
    quiet_seconds: QuietSeconds | None = None

    def changes(self, **more: Any) -> connecting.Changes:
        """The same for the domain."""
        return connecting.Changes(**msgspec.structs.asdict(self), **more)


class WebchatFields(msgspec.Struct, frozen=True):
    """How a web chat presents itself, and which pages may hold it; what is left out stays as it is."""

    title: Title | None = None
    greeting: Greeting | None = None
    accent: Accent | None = None
    position: Position | None = None
    allowed_origins: Origins | None = None

    def on(self, before: WebchatSettings) -> WebchatSettings:
        """The settings with these changes."""
        given = {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}
        if "allowed_origins" in given:
            given["allowed_origins"] = tuple(given["allowed_origins"])
        return msgspec.structs.replace(before, **given)


class NewChannel(msgspec.Struct, frozen=True):
    """A channel to be opened, with the settings of its kind."""

    kind: Literal["whatsapp", "webchat"]
    name: Line
    whatsapp: WhatsAppFields | None = None
    webchat: WebchatFields | None = None


class ChannelChange(msgspec.Struct, frozen=True):
    """What may change about a channel."""

    name: Line | None = None
    whatsapp: WhatsAppFields | None = None
    webchat: WebchatFields | None = None


class SecretView(msgspec.Struct, frozen=True):
    """Whether a secret is set, with a sign by which two can be told apart."""

    set: bool
    fingerprint: str | None


class WhatsAppView(msgspec.Struct, frozen=True):
    """A WhatsApp channel's settings; callback_url is where Meta delivers."""

    callback_url: str
    phone_number_id: str
    business_account_id: str
    app_secret: SecretView
    access_token: SecretView
    verify_token: SecretView
    reopening_template: str
    reopening_language: str
    quiet_seconds: float | None


class WebchatView(msgspec.Struct, frozen=True):
    """A web chat's settings; snippet is the line that puts it on a website."""

    title: str
    greeting: str
    accent: str
    position: Position
    allowed_origins: tuple[str, ...]
    snippet: str


class FindingView(msgspec.Struct, frozen=True):
    """Something that somebody should look at; subject is what it is about."""

    id: UUID
    kind: str
    subject: UUID
    since: datetime
    found_at: datetime
    detail: dict[str, Any]


class ChannelView(msgspec.Struct, frozen=True):
    """A channel; held_updates wait for it to be resumed, and last_update_at is up to a minute late."""

    id: UUID
    kind: ChannelKind
    name: str
    status: Literal["active", "paused"]
    created_at: datetime
    last_update_at: datetime | None
    held_updates: int
    findings: list[FindingView]
    whatsapp: WhatsAppView | None
    webchat: WebchatView | None


class OpenedChannel(msgspec.Struct, frozen=True):
    """A new channel; verify_token is for Meta's console and is shown this once, null for a web chat."""

    channel: ChannelView
    verify_token: str | None


class DiagnosisView(msgspec.Struct, frozen=True):
    """One thing that was checked; fix says what to do and where to click."""

    check: str
    passed: bool
    found: str
    fix: str
    facts: dict[str, Any]


class Diagnosed(msgspec.Struct, frozen=True):
    """What was checked of a channel; healthy when nothing was found."""

    healthy: bool
    checks: list[DiagnosisView]


def callback_url(settings: Settings, channel: Channel) -> str:
    """Where a provider delivers to a channel."""
    return f"{settings.address}/hooks/{channel.kind}/{channel.id}"


def channel_view(settings: Settings, key: Keyring, standing: Standing) -> ChannelView:
    """A channel as the API shows it."""
    channel = standing.channel
    return ChannelView(
        id=channel.id, kind=channel.kind, name=channel.name, status=channel.status,
        created_at=channel.created_at, last_update_at=standing.last_update_at, held_updates=standing.held,
        findings=[finding_view(finding) for finding in standing.findings],
        whatsapp=_whatsapp(settings, key, channel) if channel.kind == "whatsapp" else None,
        webchat=_webchat(settings, channel) if channel.kind == "webchat" else None,
    )  # fmt: skip


def finding_view(finding: Finding) -> FindingView:
    """A finding as the API shows it."""
    return msgspec.convert(finding, FindingView, from_attributes=True)


def diagnosed(found: list[Diagnosis]) -> Diagnosed:
    """What a doctor found, as the API shows it."""
    checks = [msgspec.convert(one, DiagnosisView, from_attributes=True) for one in found]
    return Diagnosed(all(one.passed for one in found), checks)


def _whatsapp(settings: Settings, key: Keyring, channel: Channel) -> WhatsAppView:
    kept, signs = channel.settings, connecting.fingerprints(channel, key)
    template, quiet = kept.get("reopening_template"), kept.get("quiet_seconds")
    named = template if isinstance(template, dict) else {}
    secrets = {name: SecretView(sign is not None, sign) for name, sign in signs.items()}
    return WhatsAppView(
        callback_url=callback_url(settings, channel),
        phone_number_id=str(kept.get("phone_number_id", "")),
        business_account_id=str(kept.get("business_account_id", "")),
        reopening_template=str(named.get("name", "")), reopening_language=str(named.get("language", "")),
        quiet_seconds=quiet if isinstance(quiet, int | float) else None, **secrets,
    )  # fmt: skip


def _webchat(settings: Settings, channel: Channel) -> WebchatView:
    look = settings_of(channel)
    return WebchatView(**msgspec.structs.asdict(look), snippet=snippet(settings.address, channel))
