"""How much of the time a site was up, from the ledger alone, with evidence; unwatched time is no uptime."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

# A round speaks for the time until the next one, but for no longer than so many of its own intervals.
_SPEAKS_FOR = 2.0
_MOST_OUTAGES = 100
_HOUR, _DAY = 3600, 86_400


@dataclass(frozen=True, slots=True)
class Outage:
    """A time of failures; seconds since 1970, and what was found at its first look."""

    began: float
    ended: float
    probe: str
    said: str


@dataclass(frozen=True, slots=True)
class Uptime:
    """What is known of a time; seconds. ratio is None without measurements."""

    since: float
    until: float
    rounds: int
    watched: float
    up: float
    outages: tuple[Outage, ...]

    @property
    def unwatched(self) -> float:
        """How long nobody looked."""
        return max(0.0, self.until - self.since - self.watched)

    @property
    def ratio(self) -> float | None:
        """The share of the watched time in which the site was up."""
        return self.up / self.watched if self.watched > 0 else None


def uptime(entries: Iterable[dict[str, Any]], since: float, until: float) -> Uptime:
    """Add up what the ledger says of a time; a clock that was set back makes unwatched time, never uptime."""
    rounds = [one for one in entries if isinstance(one.get("found"), dict) and since <= one["at"] < until]
    watched = up = 0.0
    outages: list[Outage] = []
    failing: tuple[str, str] | None = None
    for number, one in enumerate(rounds):
        following = rounds[number + 1]["at"] if number + 1 < len(rounds) else until
        length = max(0.0, min(following - one["at"], _SPEAKS_FOR * one["every"]))
        watched += length
        # A question is asked in some rounds only: its failure holds until it is asked again.
        failing = _failing(one["found"], failing)
        if failing is None:
            up += length
        else:
            _extend(outages, Outage(one["at"], one["at"] + length, *failing))
    return Uptime(since, until, len(rounds), watched, up, tuple(outages[-_MOST_OUTAGES:]))


@dataclass(frozen=True, slots=True)
class Day:
    """A day (UTC) hour by hour: "#" up, "x" down for a part of it at least, "." without measurements."""

    name: str
    hours: str


def days(entries: Iterable[dict[str, Any]], since: float, until: float) -> list[Day]:
    """Tell hour by hour how it was."""
    rounds: dict[int, list[dict[str, Any]]] = {}
    for one in entries:
        if isinstance(one.get("found"), dict) and since <= one["at"] < until:
            rounds.setdefault(int(one["at"] // _HOUR), []).append(one)
    first, last = int(since // _DAY), int(until // _DAY)
    return [_day(number, rounds) for number in range(first, last + 1)]


def _day(number: int, rounds: dict[int, list[dict[str, Any]]]) -> Day:
    name = datetime.fromtimestamp(number * _DAY, UTC).strftime("%Y-%m-%d")
    hours = range(number * 24, number * 24 + 24)
    return Day(name, "".join(_hour(rounds.get(hour, []), hour) for hour in hours))


def _hour(rounds: list[dict[str, Any]], hour: int) -> str:
    ratio = uptime(rounds, hour * _HOUR, (hour + 1) * _HOUR).ratio
    return "." if ratio is None else "#" if ratio == 1 else "x"


def _failing(found: dict[str, Any], before: tuple[str, str] | None) -> tuple[str, str] | None:
    for probe in ("health", "question"):
        told = found.get(probe)
        if told is not None and not told["ok"]:
            return probe, str(told["said"])
    if before is not None and before[0] == "question" and "question" not in found:
        return before
    return None


def _extend(outages: list[Outage], more: Outage) -> None:
    last = outages[-1] if outages else None
    if last is not None and last.probe == more.probe and abs(more.began - last.ended) < 1:
        outages[-1] = Outage(last.began, more.ended, last.probe, last.said)
    else:
        outages.append(more)
