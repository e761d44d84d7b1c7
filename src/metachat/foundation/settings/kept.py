"""`secrets.env` in the data folder: what the platform made for itself."""

import importlib
import os
from collections.abc import Mapping
from pathlib import Path

from metachat.foundation.settings import envfile, files
from metachat.foundation.settings.declaration import PREFIX, variable
from metachat.foundation.settings.problems import InvalidSettings, Problem
from metachat.foundation.settings.sources import SECRETS_FILE


def write_secrets(data_dir: Path, values: Mapping[str, str]) -> None:
    """Write `secrets.env` into the data folder with mode 600, in one step."""
    # Imported here, since hardly anybody writes.
    tempfile = importlib.import_module("tempfile")
    lines = "".join(envfile.write(variable(name), value) for name, value in values.items())
    with tempfile.NamedTemporaryFile("w", dir=data_dir, prefix=".secrets-", delete=False) as file:
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).replace(data_dir / SECRETS_FILE)


def read_secrets(data_dir: Path) -> dict[str, str]:
    """Read `secrets.env` of a data folder by setting name; empty when there is none."""
    path = data_dir / SECRETS_FILE
    if not path.exists():
        return {}
    problems: list[Problem] = files.exposed(path)
    lines, bad = envfile.read(files.read(path, str(path), problems) or b"")
    problems += [
        Problem(f"{path}:{fault.number}", fault.problem, "NAME=value", "Mend the line.") for fault in bad
    ]
    if problems:
        raise InvalidSettings(problems)
    return {line.name.removeprefix(PREFIX).lower(): line.value for line in lines}
