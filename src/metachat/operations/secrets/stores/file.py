"""A store in one plain file of mode 600: a line `METACHAT_NAME=value` each, its date in a comment."""

import contextlib
import re
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from metachat.foundation import clock
from metachat.foundation.settings import PREFIX, Secret, envfile, variable
from metachat.operations.secrets import files
from metachat.operations.secrets.contract import (
    Described,
    SecretExists,
    SecretMissing,
    StoreDamaged,
    StoreMissing,
    fit_name,
    fit_value,
)

_MADE = "# made "
_MODE = 0o600


@dataclass(frozen=True, slots=True)
class _Line:
    """Where a secret stands: from the comment with its date, if there is one, up to its own line."""

    first: int
    last: int
    value: str = field(repr=False)
    made_at: datetime | None


class FileStore:
    """Secrets in a file that only its owner may read; other lines of it stay as they are."""

    def __init__(self, path: Path) -> None:
        """Keep the path; nothing is read yet."""
        self.path = path

    @property
    def address(self) -> str:
        """The file."""
        return f"file:{self.path}"

    @property
    def private_files(self) -> list[Path]:
        """Files that nobody else may read."""
        return [self.path]

    def names(self) -> list[str]:
        """List the names, sorted."""
        return sorted(self._found(self._text()))

    def get(self, name: str) -> Secret:
        """Read a value; raises SecretMissing."""
        return Secret(self._line(name).value)

    def add(self, name: str, value: Secret) -> None:
        """Keep a new value; raises SecretExists."""
        self._make_folder()
        with files.exclusively(self.path):
            text = self._text_or_none()
            if name in self._found(text):
                raise SecretExists(name)
            self._save(text, name, _rendered(name, value))

    def put(self, name: str, value: Secret) -> None:
        """Keep a value; one that is there already keeps its date."""
        self._make_folder()
        with files.exclusively(self.path):
            text = self._text_or_none()
            rendered, there = _rendered(name, value), self._found(text).get(name)
            if there is None or there.value != value.reveal():
                self._save(text, name, rendered)

    def delete(self, name: str) -> None:
        """Forget a secret; raises SecretMissing."""
        with files.exclusively(self.path):
            text = self._text()
            if name not in self._found(text):
                raise SecretMissing(name)
            self._save(text, name, "")

    def describe(self, name: str) -> Described:
        """Tell when the value was made; raises SecretMissing."""
        return Described(name, self._line(name).made_at)

    def _make_folder(self) -> None:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise files.missing_or_unreadable(self.path.parent, error) from error

    def _line(self, name: str) -> _Line:
        try:
            return self._found(self._text())[name]
        except KeyError as error:
            raise SecretMissing(name) from error

    def _text_or_none(self) -> str:
        try:
            return self._text()
        except StoreMissing:
            return ""

    def _text(self) -> str:
        files.check_private(self.path)
        return files.read_text(self.path)

    def _found(self, text: str) -> dict[str, _Line]:
        lines, bad = envfile.read(text.encode())
        if bad:
            raise StoreDamaged(
                f"Line {bad[0].number} of {self.path} {bad[0].problem}.", "Write it as METACHAT_NAME=value."
            )
        raw = _physical(text)
        found: dict[str, _Line] = {}
        for line in lines:
            if not line.name.startswith(PREFIX):
                continue
            made_at = _date(raw[line.number - 2]) if line.number > 1 else None
            first = line.number - (1 if made_at is None else 2)
            found[line.name.removeprefix(PREFIX).lower()] = _Line(first, line.number, line.value, made_at)
        return found

    def _save(self, text: str, name: str, rendered: str) -> None:
        lines = _physical(text)
        if lines and not lines[-1].endswith(("\n", "\r")):
            lines[-1] += "\n"
        there = self._found(text).get(name)
        first, last = (there.first, there.last) if there else (len(lines), len(lines))
        files.replace(self.path, "".join([*lines[:first], rendered, *lines[last:]]), _MODE)


def _physical(text: str) -> list[str]:
    # Lines as envfile counts them, with their ends: a form feed or a line separator ends none.
    return re.findall(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+", text)


def _date(line: str) -> datetime | None:
    if line.startswith(_MADE):
        with contextlib.suppress(ValueError):
            return datetime.fromisoformat(line.removeprefix(_MADE).strip())
    return None


def _rendered(name: str, value: Secret) -> str:
    line = envfile.write(variable(fit_name(name)), fit_value(name, value))
    return f"{_MADE}{clock.now():%Y-%m-%dT%H:%M:%SZ}\n{line}"
