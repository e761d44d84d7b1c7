"""Who hears of alerts: `[[alerts]]` of the site file, or of `alerts.toml` in the data folder."""

import json
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from metachat.foundation.errors import Kind, Refusal
from metachat.operations import site
from metachat.operations.local import folder
from metachat.operations.monitoring.receivers.opening import secret_of
from metachat.operations.site import Receiver

FILE = "alerts.toml"
_HEAD = "# Who hears of alerts; written by `metachat alerts add`. No secret belongs here.\n"


class AlertsFileWrong(Refusal):
    """The file that says who hears of alerts is wrong."""

    code, kind = "alerts_file_wrong", Kind.INVALID
    exit_code = 78


class ReceiverUnknown(Refusal):
    """There is no receiver of this name; see `metachat alerts list`."""

    code, kind = "receiver_unknown", Kind.NOT_FOUND


class ReceiverExists(Refusal):
    """There is a receiver of this name already."""

    code, kind = "receiver_exists", Kind.CONFLICT


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    alerts: list[Receiver] = []


def receivers(data: Path, site_file: Path | None = None) -> list[Receiver]:
    """Read who hears of alerts; a site file that is named is read in place of the data folder's.

    Raises AlertsFileWrong, SiteFileMissing, SiteFileWrong.
    """
    if site_file is not None:
        return site.read(site_file).alerts
    return of_file(data / FILE) if (data / FILE).exists() else []


def of_file(file: Path) -> list[Receiver]:
    """Read who hears of alerts from a file of this kind; raises AlertsFileWrong."""
    try:
        return msgspec.convert(tomllib.loads(file.read_text()), _File).alerts
    except (OSError, ValueError, msgspec.ValidationError) as error:
        raise AlertsFileWrong(f"{file}: {error}") from error


def written(lines: list[Receiver]) -> str:
    """What such a file says."""
    return _HEAD + "".join(map(_written, lines))


def secrets_of(told: site.Site) -> list[str]:
    """The secrets that a site's alerts need, by name."""
    named = [secret_of(line) for line in told.alerts if line.kind != "email"]
    return [*named, *filter(None, [told.monitor.heartbeat])]


def find(lines: list[Receiver], name: str) -> Receiver:
    """Find a receiver by its name; raises ReceiverUnknown."""
    for line in lines:
        if line.name == name:
            return line
    raise ReceiverUnknown(name)


def add(data: Path, line: Receiver) -> None:
    """Add a receiver to the data folder's; raises ReceiverExists, AlertsFileWrong."""
    known = receivers(data)
    if any(one.name == line.name for one in known):
        raise ReceiverExists(line.name)
    folder.ensure(data)
    folder.write(data / FILE, written([*known, line]), 0o600)


def remove(data: Path, name: str) -> Receiver:
    """Take a receiver out of the data folder's; raises ReceiverUnknown, AlertsFileWrong."""
    known = receivers(data)
    gone = find(known, name)
    folder.write(data / FILE, written([one for one in known if one != gone]), 0o600)
    return gone


def checked(told: dict[str, Any]) -> Receiver:
    """Check a receiver's line; raises AlertsFileWrong."""
    try:
        return msgspec.convert(told, Receiver)
    except msgspec.ValidationError as error:
        raise AlertsFileWrong(str(error)) from error


def _written(line: Receiver) -> str:
    told = {name: value for name, value in msgspec.to_builtins(line).items() if value}
    # A JSON string is a TOML string too.
    return "\n[[alerts]]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in told.items())
