"""A store in one age-encrypted file, which may be kept in Git."""

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from metachat.foundation import clock
from metachat.foundation.settings import Secret
from metachat.operations import age
from metachat.operations.secrets import files, identities, sealed
from metachat.operations.secrets.contract import (
    Described,
    SecretExists,
    SecretMissing,
    StoreForbidden,
    StoreMissing,
    UnfitName,
    UnfitValue,
    fit_name,
    fit_value,
)

# The server that starts from it, and the key in the safe: with one alone, a lost disk loses everything.
FEWEST_RECIPIENTS = 2
RECOVERY = "recovery"

_LABEL = re.compile(r"[a-z][a-z0-9-]{0,30}")


class AgeStore:
    """Secrets in an age-encrypted file; the identity opens it."""

    def __init__(self, path: Path, identity: Path) -> None:
        """Keep both paths; nothing is read yet."""
        self.path = path
        self.identity = identity

    @property
    def address(self) -> str:
        """The file."""
        return f"age:{self.path}"

    @property
    def private_files(self) -> list[Path]:
        """Files that nobody else may read: the identity, for what it opens may be public."""
        return [self.identity]

    def names(self) -> list[str]:
        """List the names, sorted."""
        return sorted(self._document().entries)

    def get(self, name: str) -> Secret:
        """Read a value; raises SecretMissing."""
        document = self._document()
        if name not in document.entries:
            raise SecretMissing(name)
        return Secret(document.value(name))

    def add(self, name: str, value: Secret) -> None:
        """Keep a new value; raises SecretExists."""
        with files.exclusively(self.path):
            document = self._document()
            if name in document.entries:
                raise SecretExists(name)
            self._save(document.with_value(fit_name(name), fit_value(name, value), clock.now()))

    def put(self, name: str, value: Secret) -> None:
        """Keep a value; one that is there already keeps its ciphertext and its date."""
        text = fit_value(name, value)
        with files.exclusively(self.path):
            document = self._document()
            if name in document.entries and document.value(name) == text:
                return
            self._save(document.with_value(fit_name(name), text, clock.now()))

    def delete(self, name: str) -> None:
        """Forget a secret; raises SecretMissing."""
        with files.exclusively(self.path):
            document = self._document()
            if name not in document.entries:
                raise SecretMissing(name)
            self._save(document.without(name))

    def describe(self, name: str) -> Described:
        """Tell when the value was made; raises SecretMissing."""
        entry = self._document().entries.get(name)
        if entry is None:
            raise SecretMissing(name)
        return Described(name, datetime.fromisoformat(entry.made_at))

    def recipients(self) -> Mapping[str, str]:
        """Tell who can open it: public keys by label."""
        return self._document().recipients

    def create(self, recipients: Mapping[str, str]) -> None:
        """Make an empty file for these recipients; nothing happens when there is one already."""
        _check(recipients)
        with files.exclusively(self.path):
            if not self.path.exists():
                self._save(sealed.new(recipients))

    def add_recipient(self, label: str, key: str) -> None:
        """Let another key open it: a new data key, every value sealed anew."""
        with files.exclusively(self.path):
            document = self._document()
            if label in document.recipients:
                raise UnfitName(
                    f"There is a recipient {label} already.", "Remove it first, or choose another label."
                )
            self._reseal(document, {**document.recipients, label: identities.public(key)})

    def remove_recipient(self, label: str) -> None:
        """Let a key open no later version; what it could read before must be rotated."""
        with files.exclusively(self.path):
            document = self._document()
            if label not in document.recipients:
                raise UnfitName(f"There is no recipient {label}.", "See: metachat secrets recipients list")
            self._reseal(document, {name: key for name, key in document.recipients.items() if name != label})

    def _reseal(self, document: sealed.Document, recipients: Mapping[str, str]) -> None:
        _check(recipients)
        if age.public(identities.load(self.identity)) not in recipients.values():
            raise StoreForbidden(
                "Without this identity you could not open the file any more.",
                "Remove it from another machine.",
            )
        self._save(document.for_recipients(recipients))

    def _document(self) -> sealed.Document:
        try:
            content = files.read(self.path)
        except StoreMissing as missing:
            raise StoreMissing(
                missing.found,
                "Make it: metachat secrets generate --recovery age1...; or check METACHAT_SECRETS_STORE.",
            ) from missing
        return sealed.parse(content, identities.load(self.identity))

    def _save(self, document: sealed.Document) -> None:
        # A file in a Git work tree keeps the mode that Git gave it; a new one is nobody else's.
        mode = self.path.stat().st_mode & 0o777 if self.path.exists() else 0o600
        files.replace(self.path, document.render(), mode)


def _check(recipients: Mapping[str, str]) -> None:
    for label in recipients:
        if not _LABEL.fullmatch(label):
            raise UnfitName(
                f"{label!r} cannot be a recipient's label.", "Use lower-case letters, digits, dashes."
            )
    if len(set(recipients.values())) < FEWEST_RECIPIENTS:
        raise UnfitValue(
            "The file needs two recipients at least: the server, and a recovery key that is kept elsewhere.",
            "Make one with `metachat secrets generate --recovery-file FILE`, and take that file away.",
        )
