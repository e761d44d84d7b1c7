"""From METACHAT_BACKUP_TARGET to the target that it names; only that target's library is imported."""

import importlib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, urlsplit

from metachat.foundation.settings import Secret, Settings
from metachat.operations.backups.contract import NoTarget, Target

EXPECTED = "Expected dir:/mnt/backups or s3:bucket/prefix?endpoint=https://host&region=name"
_OPTIONS = {"endpoint", "region", "path_style", "ca", "storage_class", "checksums", "timeout", "patience"}
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class Access:
    """What a store of objects wants to be shown; both empty where the machine itself is known."""

    key: Secret
    secret: Secret


def of_settings(settings: Settings) -> Target:
    """Open the target that the settings name; raises NoTarget."""
    return open_target(settings.backup_target, Access(settings.backup_access_key, settings.backup_secret_key))


def open_target(address: str, access: Access) -> Target:
    """Open a target; raises NoTarget."""
    kind, _, rest = address.partition(":")
    if kind == "dir" and rest.startswith("/"):
        return importlib.import_module("metachat.operations.backups.targets.directory").DirectoryTarget(
            Path(rest)
        )
    if kind == "s3" and rest:
        return _s3(urlsplit(rest.removeprefix("//")), access)
    found = "METACHAT_BACKUP_TARGET is not set." if not address else f"It is {address.partition('?')[0]!r}."
    raise NoTarget(found, f"{EXPECTED}.")


def _s3(parts: SplitResult, access: Access) -> Target:
    options = dict(parse_qsl(parts.query))
    unknown = sorted(options.keys() - _OPTIONS)
    name, _, prefix = parts.path.partition("/")
    if unknown or not name:
        raise NoTarget(f"It has an unknown part: {', '.join(unknown) or 'no bucket'}.", f"{EXPECTED}.")
    s3 = importlib.import_module("metachat.operations.backups.targets.s3")
    return s3.S3Target(
        s3.Bucket(
            name, prefix.strip("/"),
            endpoint=_secure(options.get("endpoint", "")),
            region=options.get("region", "us-east-1"),
            path_style=options.get("path_style", "true") == "true",
            ca=Path(options["ca"]) if "ca" in options else None,
            storage_class=options.get("storage_class", ""),
            checksums=options.get("checksums", "false") == "true",
            seconds=_number(options, "timeout", "120"), patience=_number(options, "patience", "60"),
            access_key=access.key, secret_key=access.secret,
        )
    )  # fmt: skip


def _number(options: dict[str, str], name: str, otherwise: str) -> float:
    try:
        return float(options.get(name, otherwise))
    except ValueError as error:
        raise NoTarget(f"{name} is no number of seconds.", f"{EXPECTED}.") from error


def _secure(endpoint: str) -> str:
    parts = urlsplit(endpoint)
    # What is sent is encrypted, but who may send it is told in headers that others must not learn to forge.
    if endpoint and parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        raise NoTarget(f"{parts.scheme}://{parts.netloc} is not encrypted.", "Use https://.")
    return endpoint
