"""The configuration in effect: each value, where it comes from, and secrets as dots."""

import json
from dataclasses import dataclass
from pathlib import Path

from metachat.foundation.settings import (
    DECLARED,
    Gathered,
    data_dir,
    judge,
    of_env_file,
    of_process,
    variable,
)

DOTS = "••••••••"


@dataclass(frozen=True, slots=True)
class Shown:
    """A setting as it may be seen; `value` is dots for a secret that is set, empty without a value."""

    name: str
    value: str
    source: str


def show(env_file: Path | None) -> list[Shown]:
    """Tell what every setting is, for a process started here or by one file alone."""
    gathered = of_process() if env_file is None else of_env_file(env_file)
    return [_shown(name, gathered) for name in DECLARED]


def as_json(shown: list[Shown]) -> str:
    """The configuration for programs; a setting without a value has null."""
    rows = [
        {
            "name": one.name,
            "value": one.value or None,
            "source": one.source,
            "secret": DECLARED[name].secret,
        }
        for name, one in zip(DECLARED, shown, strict=True)
    ]
    return json.dumps({"settings": rows}, ensure_ascii=False)


def as_text(shown: list[Shown]) -> str:
    """The configuration for people."""
    name, value = max(len(one.name) for one in shown), max(len(one.value) for one in shown)
    return "\n".join(f"{one.name:<{name}}  {one.value or '-':<{value}}  {one.source}" for one in shown)


def _shown(name: str, gathered: Gathered) -> Shown:
    declared, given = DECLARED[name], gathered.values.get(name)
    if given is None or not given.text:
        if name == "data_dir":
            return Shown(variable(name), str(data_dir()), "default")
        return Shown(
            variable(name), declared.default or "", "default" if declared.default else declared.otherwise
        )
    if declared.secret:
        return Shown(variable(name), DOTS, given.source)
    _, problems = judge(name, given, "development")
    # What is not valid may be anything, even a password in the wrong line.
    return Shown(variable(name), "(not valid)" if problems else given.text, given.source)
