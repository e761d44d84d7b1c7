"""What is said of a setting when it is declared; validation and all pages about it come from this."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

Process = Literal["up", "api", "worker", "migrate", "cli"]
PROCESSES: tuple[Process, ...] = get_args(Process)

Mode = Literal["production", "development"]

PREFIX = "METACHAT_"
FILE_SUFFIX = "_FILE"

# Looks at a value's text and raises Fault; its docstring is the line in the reference.
Rule = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Form:
    """How a value is written: what reads it (raises ValueError), in words, and as a JSON Schema."""

    parse: Callable[[str], Any]
    expected: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Declared:
    """One setting: its sentence, form, unit and readers, and what production asks of it.

    `otherwise` says what holds without a value when no fixed `default` does. `read_by` names the processes
    that look at it, empty for all; the others never hold it when it is a secret. `refused` are the rules that
    count in production only.
    """

    sentence: str
    form: Form
    example: str
    default: str | None = None
    otherwise: str = ""
    unit: str = ""
    secret: bool = False
    read_by: tuple[Process, ...] = ()
    needed_by: tuple[Process, ...] = ()
    needed_in_production_by: tuple[Process, ...] = ()
    refused: tuple[Rule, ...] = ()

    @property
    def parse(self) -> Callable[[str], Any]:
        """What reads its text; raises ValueError."""
        return self.form.parse

    @property
    def expected(self) -> str:
        """What a right value looks like, in words."""
        return self.form.expected

    def is_read_by(self, process: Process | None) -> bool:
        """Whether a process looks at it; None stands for all of them together."""
        # `up` hands everything on to its children, and finds faults before it opens the port.
        return process in (None, "up", "cli", *self.read_by) or not self.read_by

    def is_needed_by(self, process: Process | None, mode: Mode) -> bool:
        """Whether a process cannot do without it; None stands for what any installation must give."""
        if process is None:
            # In development `metachat up` makes whatever is missing.
            needed = (*self.needed_by, *self.needed_in_production_by)
            return mode == "production" and "api" in needed
        if mode == "production" and process in self.needed_in_production_by:
            return True
        return process in self.needed_by


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()
