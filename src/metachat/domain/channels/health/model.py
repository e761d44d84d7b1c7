"""How lively a channel was, hour by hour, and the rule by which it counts as silent. Pure.

Time is cut into slots of five minutes, and a slot counts once however much came in it: a customer's burst,
or the statuses of one answer, are no livelier than one message. A channel is silent when

- *by the hour*: since its last update more was missed than chance leaves out. What is usual for an hour is
  the median of the same hour in the weeks before, so that nights, weekends and one strange day say nothing.
  It takes two such weeks, MISSED slots missed and QUIET without anything; or
- *by its longest pause*: it has been quiet for twice its longest pause of the last four weeks, and for a day
  at least. This is for channels too slow for the first rule; it takes LIVELY slots in the last four weeks.

Anything that comes ends it.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Any, Literal
from uuid import UUID

from metachat.foundation.ids import ChannelId, TenantId

SLOT = 300
HOUR = timedelta(hours=1)
WEEK = 7 * 24
KEPT = 4 * WEEK

MISSED = 8.0
QUIET = timedelta(minutes=30)
LIVELY = 20
LONGEST_PAUSES = 2
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Traffic:
    """A channel's last four weeks: for each hour up to `hour` in how many slots something came."""

    tenant_id: TenantId
    channel_id: ChannelId
    last_update_at: datetime
    hour: datetime
    hours: bytes
    silent: bool = False

    def after(self, moment: datetime) -> "Traffic":
        """The same after something came; a slot that was counted before is not counted again."""
        if slot_of(moment) <= slot_of(self.last_update_at):
            return replace(self, last_update_at=max(moment, self.last_update_at))
        hour = hour_of(moment)
        hours = bytearray(self.hours + bytes(min((hour - self.hour) // HOUR, KEPT)))
        hours[-1] += 1
        return replace(self, hour=hour, hours=bytes(hours[-KEPT:]), last_update_at=moment)

    def at(self, hour: datetime) -> int | None:
        """In how many slots of that hour something came; None before the first hour that is known."""
        place = len(self.hours) - 1 - (self.hour - hour) // HOUR
        if place < 0:
            return None
        return self.hours[place] if place < len(self.hours) else 0


@dataclass(frozen=True, slots=True)
class Silence:
    """Why a channel counts as silent; missed are the lively slots that were usual since its last update."""

    rule: Literal["by_the_hour", "by_its_longest_pause"]
    since: datetime
    missed: float = 0.0
    longest_pause_hours: int = 0


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that somebody should look at; resolved_at is None while it lasts."""

    id: UUID
    kind: str
    subject: UUID
    since: datetime
    detail: dict[str, Any]
    found_at: datetime
    resolved_at: datetime | None


def first_traffic(tenant: TenantId, channel: ChannelId, moment: datetime) -> Traffic:
    """A channel's traffic after the first thing that came."""
    return Traffic(tenant, channel, moment, hour_of(moment), b"\x01")


def slot_of(moment: datetime) -> int:
    """The number of the slot that a moment lies in."""
    return int(moment.timestamp()) // SLOT


def hour_of(moment: datetime) -> datetime:
    """The beginning of the hour that a moment lies in, in UTC."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def is_silent(traffic: Traffic, now: datetime) -> Silence | None:
    """Tell whether a channel that was lively has fallen silent, by the rule above."""
    since, quiet = traffic.last_update_at, now - traffic.last_update_at
    if quiet >= QUIET:
        missed = _missed(traffic, now)
        if missed >= MISSED:
            return Silence("by_the_hour", since, missed=round(missed, 1))
    pause = _longest_pause(traffic)
    if pause is not None and quiet >= max(DAY, LONGEST_PAUSES * pause):
        return Silence("by_its_longest_pause", since, longest_pause_hours=pause // HOUR)
    return None


def _missed(traffic: Traffic, now: datetime) -> float:
    missed, hour = 0.0, hour_of(traffic.last_update_at)
    end = min(now, traffic.last_update_at + timedelta(hours=WEEK))
    while hour < end:
        began, over = max(hour, traffic.last_update_at), min(hour + HOUR, end)
        missed += _usual(traffic, hour) * ((over - began) / HOUR)
        hour += HOUR
    return missed


def _usual(traffic: Traffic, hour: datetime) -> float:
    before = [traffic.at(hour - timedelta(hours=WEEK * week)) for week in range(1, 5)]
    known = [slots for slots in before if slots is not None]
    return float(median(known)) if len(known) >= 2 else 0.0


def _longest_pause(traffic: Traffic) -> timedelta | None:
    """The longest time between two lively hours; None when there was too little to tell."""
    if sum(traffic.hours) < LIVELY:
        return None
    lively = [place for place, slots in enumerate(traffic.hours) if slots]
    gaps = [after - before for before, after in pairwise(lively)]
    return max(gaps, default=1) * HOUR
