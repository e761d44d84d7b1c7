"""What is checked of every channel beside what its provider says: pure, each with the next move."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from metachat.domain.channels.health import SILENT
from metachat.domain.channels.model import Channel
from metachat.domain.channels.outgoing import Diagnosis
from metachat.domain.channels.standing import Standing
from metachat.domain.channels.webchat import settings_of


def of_channel(standing: Standing, last: datetime | None, now: datetime) -> list[Diagnosis]:
    """What the platform itself knows of a channel; last is when its provider was last heard."""
    checks = [_is_active(standing)]
    if standing.channel.kind == "webchat":
        return [*checks, _origins(standing.channel)]
    return [*checks, _was_heard(standing, last, now)]


def of_refusals(refused: Mapping[str, int]) -> Diagnosis:
    """What the door of this process has turned away since it started, of all channels of the kind."""
    wrong, name = refused.get("signature_wrong", 0), "no webhook was turned away"
    if not wrong:
        return Diagnosis(name, True, "none by this process since it started")
    said = f"{wrong} with a wrong signature since this process started, by any channel of this kind"
    fix = "The app secret of one of these channels is not its app's: rotate the secret."
    return Diagnosis(name, False, said, fix, {"signature_wrong": wrong})


def _is_active(standing: Standing) -> Diagnosis:
    active = standing.channel.status == "active"
    said = "active" if active else f"paused, {standing.held} updates wait"
    return Diagnosis("channel is active", active, said, "" if active else "metachat channels resume CHANNEL")


def _was_heard(standing: Standing, last: datetime | None, now: datetime) -> Diagnosis:
    name = "webhooks arrive"
    fix = "Write to the number from a telephone. If nothing arrives, see the checks of the callback URL."
    if last is None:
        return Diagnosis(name, False, "none has ever arrived", fix)
    said = f"the last {_ago(now - last)} ago"
    silent = any(one.kind == SILENT and last <= one.found_at for one in standing.findings)
    if silent:
        return Diagnosis(
            name, False, f"{said}; the channel is usually livelier", fix, {"last": last.isoformat()}
        )
    return Diagnosis(name, True, said, facts={"last": last.isoformat()})


def _origins(channel: Channel) -> Diagnosis:
    name, origins = "only your pages may hold the chat", settings_of(channel).allowed_origins
    fix = "List the origins of your website: metachat channels add webchat --origin, or the channel's page."
    said = ", ".join(origins)[:300] or "any page on the web may"
    return Diagnosis(name, bool(origins), said, "" if origins else fix)


def _ago(span: timedelta) -> str:
    seconds = max(int(span.total_seconds()), 0)
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} seconds"
