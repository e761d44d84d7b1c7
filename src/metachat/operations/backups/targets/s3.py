"""Backups in an S3-compatible store: AWS, Backblaze B2, MinIO and the like."""

import hashlib
import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from metachat.foundation.settings import Secret
from metachat.operations.backups.contract import (
    BackupRefusal,
    Kept,
    NoTarget,
    ObjectDamaged,
    ObjectMissing,
    TargetAway,
    TargetForbidden,
    TargetFull,
)

_FULL = re.compile(r"\b507\b|InsufficientStorage|QuotaExceeded|StorageFull|XMinioStorageFull")
_FORBIDDEN = re.compile(r"\b40[13]\b|InvalidAccessKeyId|SignatureDoesNotMatch|AccessDenied|ExpiredToken")


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket and how it is spoken to.

    `endpoint` is empty for AWS itself. `checksums` sends SHA-256 along with each object, which a bucket with
    object lock demands and some stores fail at. `seconds` bounds one request.
    """

    name: str
    prefix: str = ""
    endpoint: str = ""
    region: str = "us-east-1"
    path_style: bool = True
    ca: Path | None = None
    storage_class: str = ""
    checksums: bool = False
    seconds: float = 120
    patience: float = 60
    access_key: Secret = field(default_factory=lambda: Secret(""))
    secret_key: Secret = field(default_factory=lambda: Secret(""))


class S3Target:
    """Objects of a bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._obstore = _library("obstore")
        self._errors = _library("obstore.exceptions")
        self._store = _library("obstore.store").S3Store(
            bucket.name,
            prefix=bucket.prefix or None,
            config=_config(bucket),
            client_options=_client(bucket),
            retry_config={"max_retries": 6, "retry_timeout": timedelta(seconds=bucket.patience)},
        )

    @property
    def address(self) -> str:
        """The bucket and the prefix."""
        return f"s3:{'/'.join(filter(None, (self._bucket.name, self._bucket.prefix)))}"

    def put(self, key: str, content: bytes) -> None:
        """Send an object, and have the store prove what it kept."""
        storage_class = self._bucket.storage_class
        attributes = {"Storage-Class": storage_class} if storage_class else None
        told = self._call(key, "put", key, content, attributes=attributes, use_multipart=False)
        try:
            found = self._call(key, "head", key)
        except ObjectMissing as error:
            raise ObjectDamaged(
                f"{self.address} took {key} and does not have it.", "Do not trust this store."
            ) from error
        # An entity tag that is the content's MD5 proves it; where it is something else, it is read again.
        proof = hashlib.md5(content, usedforsecurity=False).hexdigest()
        tags = {str(one.get("e_tag") or "").strip('"') for one in (told, found)}
        if found["size"] == len(content) and tags == {proof}:
            return
        if self.get(key) != content:
            raise ObjectDamaged(
                f"{self.address} kept {key} otherwise than it was sent.", "Do not trust this store."
            )

    def get(self, key: str) -> bytes:
        """Read an object; raises ObjectMissing."""
        return self._call(key, "get", key, then=_bytes)

    def list(self, prefix: str) -> Iterator[Kept]:
        """Name the objects below a prefix."""
        pages = iter(self._call(prefix, "list", prefix, chunk_size=1000))
        while page := self._page(prefix, pages):
            for one in page:
                yield Kept(one["path"], one["size"], one["last_modified"])

    def delete(self, key: str) -> None:
        """Remove an object; an absent one is no error."""
        try:
            self._call(key, "delete", key)
        except ObjectMissing:
            return

    def _page(self, prefix: str, pages: Iterator[Any]) -> Any:
        try:
            return next(pages, None)
        except self._errors.BaseError as error:
            raise self._refusal(prefix, error) from error

    def _call(self, what: str, verb: str, *given: Any, then: Any = None, **more: Any) -> Any:
        try:
            result = getattr(self._obstore, verb)(self._store, *given, **more)
            return result if then is None else then(result)
        except (self._errors.BaseError, OSError) as error:
            raise self._refusal(what, error) from error

    def _refusal(self, key: str, error: Exception) -> BackupRefusal:
        said = _short(str(error))
        if isinstance(error, self._errors.NotFoundError | FileNotFoundError):
            fix = "`metachat backup verify` tells which backups are whole."
            return ObjectMissing(f"{self.address} has no {key}.", fix)
        if _FULL.search(str(error)):
            return TargetFull(f"{self.address}: {said}", "Let it grow, or run `metachat backup prune`.")
        refused = (self._errors.PermissionDeniedError, self._errors.UnauthenticatedError, PermissionError)
        if "RequestTimeTooSkewed" in str(error):
            fix = "Set this machine's clock: it differs too much from the store's."
            return TargetForbidden(f"{self.address}: {said}", fix)
        if isinstance(error, refused) or _FORBIDDEN.search(str(error)):
            fix = "Check METACHAT_BACKUP_ACCESS_KEY and METACHAT_BACKUP_SECRET_KEY, and what they may do."
            return TargetForbidden(f"{self.address}: {said}", fix)
        return TargetAway(f"{self.address}: {said}", "Try again; see whether the store is well.")


def _bytes(result: Any) -> bytes:
    # The answer's body, which may break off as well.
    return bytes(result.bytes())


def _config(bucket: Bucket) -> dict[str, Any]:
    given = {
        "region": bucket.region,
        "virtual_hosted_style_request": str(not bucket.path_style).lower(),
        "endpoint": bucket.endpoint,
        "access_key_id": bucket.access_key.reveal(),
        "secret_access_key": bucket.secret_key.reveal(),
        "checksum_algorithm": "SHA256" if bucket.checksums else "",
    }
    return {name: value for name, value in given.items() if value}


def _client(bucket: Bucket) -> dict[str, Any]:
    seconds = timedelta(seconds=bucket.seconds)
    connect = timedelta(seconds=min(10.0, bucket.seconds))
    options: dict[str, Any] = {"timeout": seconds, "connect_timeout": connect}
    if bucket.endpoint.startswith("http://"):
        options["allow_http"] = True
    if bucket.ca is not None:
        options["root_certificate"] = bucket.ca.read_bytes()
    return options


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise NoTarget(
            "Backups to S3 need the library obstore.", "Install it: pip install 'metachat[backups]'"
        ) from error


def _short(said: str) -> str:
    # The library adds its whole state in lines of its own.
    return said.strip().splitlines()[0][:400] if said.strip() else "no word"
