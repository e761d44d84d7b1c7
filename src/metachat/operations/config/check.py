"""What is wrong with a configuration, without starting anything."""

import dataclasses
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from metachat.foundation.settings import (
    DECLARED,
    Examined,
    Gathered,
    Mode,
    Problem,
    Process,
    examine,
    of_env_file,
    of_process,
    variable,
)

_PARTS: tuple[Process, ...] = ("worker", "migrate")


@dataclass(frozen=True, slots=True)
class Checked:
    """A configuration that was looked at: what was given, and what came of it."""

    given: Gathered
    examined: Examined
    process: Process | None


def check(env_file: Path | None, process: Process | None, mode: Mode | None) -> Checked:
    """Look at one file and nothing else, or at what a process started here would be given."""
    given = of_process() if env_file is None else of_env_file(env_file)
    return Checked(given, examine(given, process, mode), process)


def as_json(problems: Iterable[Problem]) -> str:
    """The problems for programs."""
    return json.dumps({"problems": [dataclasses.asdict(problem) for problem in problems]})


def as_text(problems: list[Problem]) -> str:
    """The problems for people: what, what would be right, and the next move."""
    count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
    return "\n\n".join([f"The configuration has {count}:", *map(_paragraph, problems)])


def summary(checked: Checked) -> str:
    """What was found right, and what the parts that weren't asked about would miss besides."""
    looked_at = f"what the process {checked.process} reads" if checked.process else "all that is given"
    lines = [f"No problems in {looked_at}, by the rules of {checked.examined.mode}."]
    if checked.process is None and checked.examined.mode == "production":
        lines += _missed(checked)
    return "\n".join(lines)


def _paragraph(problem: Problem) -> str:
    return f"{problem.name}\n  {problem.problem}\n  expected: {problem.expected}\n  {problem.fix}"


def _missed(checked: Checked) -> Iterator[str]:
    for part in _PARTS:
        missing = [
            variable(name)
            for name, declared in DECLARED.items()
            if declared.is_needed_by(part, checked.examined.mode) and not checked.given.text(name)
        ]
        if missing:
            verb = "metachat worker" if part == "worker" else "metachat migrate"
            yield f"`{verb}` will want {', '.join(missing)} too; see --process {part}."
