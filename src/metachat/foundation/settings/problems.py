"""What is wrong with a configuration, in words that never hold a secret's value."""

import dataclasses
from dataclasses import dataclass

from metachat.foundation.errors import Kind, Refusal


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the configuration; never holds a secret's value."""

    name: str
    problem: str
    expected: str
    fix: str


class Fault(ValueError):
    """A value is refused: what is wrong, and, where the setting's own words don't do, what would be right.

    The words never hold the value itself, since it may be a secret.
    """

    def __init__(self, problem: str, expected: str = "", fix: str = "") -> None:
        self.problem = problem
        self.expected = expected
        self.fix = fix
        super().__init__(problem)


class InvalidSettings(Refusal):
    """The configuration has problems."""

    code = "invalid_settings"
    kind = Kind.INVALID
    exit_code = 78  # EX_CONFIG

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        lines = [f"{p.name}: {p.problem}; expected {p.expected}. {p.fix}" for p in problems]
        super().__init__("\n".join(lines), problems=[dataclasses.asdict(p) for p in problems])
