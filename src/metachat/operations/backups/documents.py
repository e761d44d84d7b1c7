"""Uploaded documents and media: kept once for all backups, each under its tenant and its content."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from metachat.foundation.settings import Secret
from metachat.operations.backups.contract import ObjectDamaged, Target
from metachat.operations.backups.streams import Stream, load, load_bytes, store

_NAME = re.compile(r"[0-9a-f]{64}")


class Document(msgspec.Struct, frozen=True):
    """One file of a tenant, named by the SHA-256 of its content."""

    tenant: str
    sha256: str
    stream: Stream


def found(blobs: Path) -> Iterator[tuple[str, Path]]:
    """Name what is stored: tenant and file."""
    for path in blobs.glob("*/??/*"):
        if _NAME.fullmatch(path.name):
            yield path.parent.parent.name, path


def keep(
    blobs: Path, target: Target, folder: str, recipients: Iterable[str], known: Mapping[str, Document]
) -> tuple[Document, ...]:
    """Store what the target lacks, and list all; `known` are those of the backup before, by `place`."""
    recipients = tuple(recipients)
    there = {kept.key for kept in target.list(folder)}
    documents: list[Document] = []
    for tenant, path in found(blobs):
        before = known.get(place(tenant, path.name))
        if before and all(piece.key in there for piece in before.stream.pieces):
            documents.append(before)
            continue
        try:
            stem = f"{folder}/{tenant}/{path.name}"
            with path.open("rb") as file:
                documents.append(Document(tenant, path.name, store(file, target, stem, recipients)))
        except FileNotFoundError:
            continue  # deleted by the product meanwhile
    return tuple(documents)


def shelf(cluster: str, recipients: Iterable[str]) -> str:
    """The folder of documents that these recipients open: for others they are stored anew."""
    who = hashlib.sha256("\n".join(sorted(recipients)).encode()).hexdigest()[:16]
    return f"documents/{cluster}/{who}"


def place(tenant: str, sha256: str) -> str:
    """What tells documents apart."""
    return f"{tenant}/{sha256}"


def read(stream: Stream, target: Target, identity: Secret) -> tuple[Document, ...]:
    """Read the list of a backup."""
    return msgspec.json.decode(load_bytes(stream, target, identity), type=tuple[Document, ...])


def bring_back(document: Document, target: Target, identity: Secret, blobs: Path) -> None:
    """Write a document to its place, unless it is there; raises ObjectDamaged."""
    path = blobs / document.tenant / document.sha256[:2] / document.sha256
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    half = path.with_name(f".partial-{document.sha256[:32]}")
    with half.open("wb") as file:
        load(document.stream, target, identity, file)
    if document.stream.sha256 != document.sha256:
        raise ObjectDamaged(f"{document.tenant}/{document.sha256} had other content.", "See the disk.")
    half.replace(path)
