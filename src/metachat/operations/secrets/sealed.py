"""The age-encrypted file as a value: names to be read by anyone, values by the recipients only.

    metachat-secrets 1
    recipient recovery age1...
    recipient server age1...
    data-key <base64 of an age file that holds 32 random bytes, encrypted to all recipients>
    secret session_secret 2026-11-24T14:00:00Z <base64>
    mac <hex>

Each value is sealed with AES-256-GCM under the data key, bound to its name and date; the plaintext repeats
the name. The mac is HMAC-SHA256 over every byte before its line, under a key derived from the data key. A
value that did not change keeps its ciphertext, so that the diff of a commit shows which secrets changed.
Whoever knows only the recipients can make a whole new file, but cannot carry a single value over into it: all
its keys then have other fingerprints.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from metachat.foundation.crypto import SealBroken, seal, unseal
from metachat.foundation.settings import Secret
from metachat.operations import age
from metachat.operations.secrets.contract import StoreDamaged, StoreForbidden

HEADER = "metachat-secrets 1"
_MARKERS = re.compile(r"^(<{7}|={7}|>{7}|\|{7})( |$)", re.MULTILINE)
_RESTORE = "Take the last good version out of Git (git log -- FILE), or open the escrow bundle."


@dataclass(frozen=True, slots=True)
class Entry:
    """One secret as the file has it."""

    name: str
    made_at: str
    sealed: str


@dataclass(frozen=True, slots=True)
class Document:
    """A file's content, opened: with its data key."""

    recipients: Mapping[str, str]
    wrapped_key: str
    key: bytes
    entries: Mapping[str, Entry]

    def __repr__(self) -> str:
        """Show nothing of the key."""
        return f"Document({len(self.entries)} secrets)"

    def value(self, name: str) -> str:
        """Decrypt the value of a name that the document has; raises StoreDamaged."""
        entry = self.entries[name]
        try:
            plain = json.loads(unseal(self.key, _decoded(entry.sealed), _place(entry)))
        except (SealBroken, ValueError) as error:
            raise StoreDamaged(f"The value of {name} does not decrypt.", _RESTORE) from error
        if plain.get("name") != name:
            raise StoreDamaged(f"The value of {name} belongs to another name.", _RESTORE)
        return str(plain["value"])

    def with_value(self, name: str, value: str, now: datetime) -> "Document":
        """Return the document with a new value; every other line stays as it is."""
        bare = Entry(name, now.strftime("%Y-%m-%dT%H:%M:%SZ"), "")
        plain = json.dumps({"name": name, "value": value}, ensure_ascii=False).encode()
        entry = replace(bare, sealed=_encoded(seal(self.key, plain, _place(bare))))
        return replace(self, entries={**self.entries, name: entry})

    def without(self, name: str) -> "Document":
        """Return the document without a name."""
        return replace(self, entries={known: one for known, one in self.entries.items() if known != name})

    def for_recipients(self, recipients: Mapping[str, str]) -> "Document":
        """Return the document under a new data key for these recipients, every value sealed anew."""
        made = new(recipients)
        for name, entry in self.entries.items():
            dated = datetime.fromisoformat(entry.made_at)
            made = made.with_value(name, self.value(name), dated)
        return made

    def render(self) -> str:
        """Write it as the file's text."""
        lines = [
            HEADER,
            *(f"recipient {label} {key}" for label, key in sorted(self.recipients.items())),
            f"data-key {self.wrapped_key}",
            *(f"secret {one.name} {one.made_at} {one.sealed}" for _, one in sorted(self.entries.items())),
        ]
        text = "".join(f"{line}\n" for line in lines)
        return f"{text}mac {_mac(self.key, text.encode())}\n"


def new(recipients: Mapping[str, str]) -> Document:
    """Make an empty document for these recipients (public age keys by label)."""
    key = secrets.token_bytes(32)
    return Document(dict(recipients), _encoded(age.encrypt(key, recipients.values())), key, {})


def parse(content: bytes, identity: Secret) -> Document:
    """Open a file's content with an identity; raises StoreDamaged, and StoreForbidden for a stranger's."""
    text = _text(content)
    body, _, mac = text.rpartition("mac ")
    lines = body.splitlines()
    if not lines or lines[0] != HEADER or not body.endswith("\n"):
        raise StoreDamaged("The file does not begin or end like a file of secrets.", _RESTORE)
    fields = [line.split(" ") for line in lines[1:]]
    recipients = {one[1]: one[2] for one in fields if one[0] == "recipient" and len(one) == 3}
    wrapped = [one[1] for one in fields if one[0] == "data-key" and len(one) == 2]
    if len(wrapped) != 1:
        raise StoreDamaged("The file has no data key, or more than one.", _RESTORE)
    key = _unwrapped(wrapped[0], identity, recipients)
    if not hmac.compare_digest(f"{_mac(key, body.encode())}\n".encode(), mac.encode()):
        raise StoreDamaged("The file was altered by something other than metachat.", _RESTORE)
    entries = [Entry(*one[1:]) for one in fields if one[0] == "secret" and len(one) == 4]
    return Document(recipients, wrapped[0], key, {one.name: one for one in entries})


def names(content: bytes) -> list[str]:
    """List the names that a file claims to hold, without any key: not verified."""
    return sorted(line.split(" ")[1] for line in _text(content).splitlines() if line.startswith("secret "))


def _text(content: bytes) -> str:
    try:
        text = content.decode("ascii")
    except UnicodeDecodeError as error:
        raise StoreDamaged("The file is not plain text.", _RESTORE) from error
    if _MARKERS.search(text):
        raise StoreDamaged(
            "The file holds the markers of a merge conflict.",
            "Take one side whole (git checkout --ours FILE, or --theirs), then repeat what the other side"
            " changed with `metachat secrets set`.",
        )
    if "\r" in text:
        raise StoreDamaged(
            "The file's line ends were converted.",
            "Put `*.age -text` into .gitattributes, and check it out anew.",
        )
    return text


def _unwrapped(wrapped: str, identity: Secret, recipients: Mapping[str, str]) -> bytes:
    try:
        key = age.decrypt(_decoded(wrapped), identity)
    except ValueError as error:
        if age.public(identity) in recipients.values():
            raise StoreDamaged("The file's data key does not decrypt.", _RESTORE) from error
        raise StoreForbidden(
            "This identity is not among the file's recipients.",
            "Somebody who can open it must run: metachat secrets recipients add LABEL "
            + age.public(identity),
        ) from error
    if len(key) != 32:
        raise StoreDamaged("The file's data key is none of ours.", _RESTORE)
    return key


def _mac(key: bytes, body: bytes) -> str:
    derived = hmac.digest(key, b"metachat:secrets:mac", hashlib.sha256)
    return hmac.digest(derived, body, hashlib.sha256).hex()


def _place(entry: Entry) -> bytes:
    return f"metachat:secrets:{entry.name}:{entry.made_at}".encode()


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
