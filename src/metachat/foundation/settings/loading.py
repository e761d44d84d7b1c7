"""From what is given to validated settings, with every problem told at once."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from metachat.foundation import redaction
from metachat.foundation.settings import files, together
from metachat.foundation.settings.declaration import Mode, Process
from metachat.foundation.settings.declared import DECLARED
from metachat.foundation.settings.judging import judge, missing, otherwise, unread
from metachat.foundation.settings.model import Settings
from metachat.foundation.settings.problems import InvalidSettings, Problem
from metachat.foundation.settings.sources import Gathered, data_dir, of_process


@dataclass(frozen=True, slots=True)
class Examined:
    """The values by setting name, and all that is wrong; values count only when nothing is."""

    values: dict[str, Any] = field(repr=False)
    problems: list[Problem]
    mode: Mode


def load(environ: Mapping[str, str] | None = None, process: Process = "cli") -> Settings:
    """Read and validate the settings of a process; raises InvalidSettings with every problem."""
    environ = os.environ if environ is None else environ
    examined = examine(of_process(environ), process)
    if examined.problems:
        raise InvalidSettings(examined.problems)
    examined.values["data_dir"] = examined.values["data_dir"] or data_dir(environ)
    return Settings(**examined.values)


def examine(gathered: Gathered, process: Process | None, mode: Mode | None = None) -> Examined:
    """Look at what a process reads, None for all there is; the mode is as told here, or as given."""
    mode = mode or _mode(gathered)
    problems, values = list(gathered.problems), dict[str, Any]()
    # Those too that this process doesn't read, or that are wrong: no word about them may hold them.
    for name, given in gathered.values.items():
        if DECLARED[name].secret:
            redaction.remember(given.text)
    read = [name for name, declared in DECLARED.items() if declared.is_read_by(process)]
    for name, declared in DECLARED.items():
        given = gathered.values.get(name)
        if name not in read:
            values[name] = unread(declared, gathered.text(name))
        elif given is None or not given.text:
            values[name] = otherwise(declared)
            if declared.is_needed_by(process, mode):
                problems.append(missing(name, given))
        else:
            values[name], found = judge(name, given, mode)
            problems += found
    problems += together.problems({name: gathered.text(name) for name in read}, mode)
    if mode == "production":
        problems += _exposed(gathered, read)
    return Examined(values, _once(problems), mode)


def _mode(gathered: Gathered) -> Mode:
    try:
        given = DECLARED["production"].parse(gathered.text("production") or "false")
    except ValueError:
        return "production"  # told as a problem of its own; the stricter reading is the safer one
    return "production" if given else "development"


def _exposed(gathered: Gathered, read: list[str]) -> list[Problem]:
    """Tell of files with secrets that others may read."""
    found: list[Problem] = []
    for name in read:
        given = gathered.values.get(name)
        if DECLARED[name].secret and given and given.text and given.file:
            found += files.exposed(given.file, given.told_as)
    return found


def _once(problems: list[Problem]) -> list[Problem]:
    return list(dict.fromkeys(problems))
