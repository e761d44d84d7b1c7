"""A store in one plain file of mode 600: a line `METACHAT_NAME=value` each, its date in a comment."""

import contextlib
from dataclasses import dataclass
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
    name: str
    value: str
    made_at: datetime | None


class FileStore:
    """Secrets in a file that only its owner may read."""

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
        return sorted(self._lines())

    def get(self, name: str) -> Secret:
        """Read a value; raises SecretMissing."""
        return Secret(self._line(name).value)

    def add(self, name: str, value: Secret) -> None:
        """Keep a new value; raises SecretExists."""
        with files.exclusively(self.path):
            lines = self._lines_or_none()
            if name in lines:
                raise SecretExists(name)
            self._save({**lines, name: _made(name, value)})

    def put(self, name: str, value: Secret) -> None:
        """Keep a value; one that is there already keeps its date."""
        made = _made(name, value)
        with files.exclusively(self.path):
            lines = self._lines_or_none()
            if name not in lines or lines[name].value != made.value:
                self._save({**lines, name: made})

    def delete(self, name: str) -> None:
        """Forget a secret; raises SecretMissing."""
        with files.exclusively(self.path):
            lines = self._lines()
            if name not in lines:
                raise SecretMissing(name)
            del lines[name]
            self._save(lines)

    def describe(self, name: str) -> Described:
        """Tell when the value was made; raises SecretMissing."""
        return Described(name, self._line(name).made_at)

    def _line(self, name: str) -> _Line:
        try:
            return self._lines()[name]
        except KeyError as error:
            raise SecretMissing(name) from error

    def _lines_or_none(self) -> dict[str, _Line]:
        try:
            return self._lines()
        except StoreMissing:
            return {}

    def _lines(self) -> dict[str, _Line]:
        files.check_private(self.path)
        return parse(files.read(self.path), str(self.path))

    def _save(self, lines: dict[str, _Line]) -> None:
        files.replace(self.path, "".join(_rendered(line) for _, line in sorted(lines.items())), _MODE)


def parse(content: bytes, where: str) -> dict[str, _Line]:
    """Read the lines of such a file by the secrets' names; raises StoreDamaged, without the line."""
    lines, bad = envfile.read(content)
    if bad:
        raise StoreDamaged(
            f"Line {bad[0].number} of {where} {bad[0].problem}.", "Write it as METACHAT_NAME=value."
        )
    comments = _dates(content)
    return {
        name: _Line(name, line.value, comments.get(line.number - 1))
        for line in lines
        if (name := line.name.removeprefix(PREFIX).lower())
    }


def _dates(content: bytes) -> dict[int, datetime]:
    """The dates in comments, by the numbers of their lines."""
    found: dict[int, datetime] = {}
    for number, line in enumerate(content.decode(errors="replace").split("\n"), start=1):
        if line.startswith(_MADE):
            with contextlib.suppress(ValueError):
                found[number] = datetime.fromisoformat(line.removeprefix(_MADE).strip())
    return found


def _made(name: str, value: Secret) -> _Line:
    return _Line(fit_name(name), fit_value(name, value), clock.now().replace(microsecond=0))


def _rendered(line: _Line) -> str:
    dated = f"{_MADE}{line.made_at:%Y-%m-%dT%H:%M:%SZ}\n" if line.made_at else ""
    return dated + envfile.write(variable(line.name), line.value)
