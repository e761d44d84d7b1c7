"""What a process counts of its own work, until somebody scrapes it; names and labels are ours, and few."""

from collections import Counter

_COUNTS: Counter[tuple[str, str]] = Counter()


def count(name: str, outcome: str) -> None:
    """Count one; never with anything that comes from outside, since each pair is a series for good."""
    _COUNTS[name, outcome] += 1


def counted(name: str) -> dict[str, int]:
    """How often each outcome of a name was counted since the process began."""
    return {outcome: number for (of, outcome), number in _COUNTS.items() if of == name}
