"""Misbehaviour on demand: what goes wrong, how often, decided by seeded chance."""

import random
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

# error: an error document of Meta's with `code`. status: that HTTP status and no document. timeout: no answer
# for `seconds`. slow: the answer comes `seconds` later. cut: the connection breaks before the request counts.
# cut_after: it breaks after the message was accepted, so that the caller cannot know. slow_after: the message
# is accepted at once, the answer comes `seconds` later.
Kind = Literal["error", "status", "timeout", "slow", "cut", "cut_after", "slow_after"]
KINDS = ("error", "status", "timeout", "slow", "cut", "cut_after", "slow_after")
PLACES = ("messages", "read", "media", "all")
_RULES = 50


@dataclass(slots=True)
class Rule:
    """One thing that goes wrong with requests to the Graph API.

    share is how often (0 to 1), times how many times before it ends (None: no end), to one phone's number
    ("" for all). where is "messages", "read", "media" or "all".
    """

    kind: Kind
    code: int = 0
    share: float = 1.0
    times: int | None = None
    seconds: float = 5.0
    where: str = "messages"
    to: str = ""
    hits: int = 0


@dataclass(frozen=True, slots=True)
class Weather:
    """How webhooks travel: shares from 0 to 1, times in seconds.

    duplicates are delivered twice, reordered ones held back up to reorder_seconds: later ones overtake them.
    delay is the most that any waits. batch is how many updates one POST may carry. withheld keeps all
    of them back, offline cuts the network both ways.
    """

    duplicates: float = 0.0
    reorder: float = 0.0
    reorder_seconds: float = 0.5
    delay: float = 0.0
    batch: int = 1_000
    withheld: bool = False
    offline: bool = False


class Invalid(Exception):
    """What the control API cannot make sense of."""


@dataclass(slots=True)
class Chance:
    """The weather, the rules, and the dice."""

    weather: Weather = Weather()
    rules: list[Rule] = field(default_factory=list)
    dice: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311 - not a secret

    def seed(self, seed: int) -> None:
        """Begin the dice anew."""
        self.dice = random.Random(seed)  # noqa: S311 - not a secret

    def change(self, given: dict[str, Any]) -> None:
        """Change the named parts of the weather; raises Invalid."""
        known = {item.name: item.default for item in fields(Weather)}
        for name, value in given.items():
            if name not in known:
                raise Invalid(f"{name} is not a part of the weather; these are: {', '.join(known)}")
            if not isinstance(value, int | float) or (
                isinstance(known[name], bool) != isinstance(value, bool)
            ):
                raise Invalid(f"{name} is {type(known[name]).__name__}")
            if not 0 <= value <= (1_000 if name == "batch" else 3_600) or (name == "batch" and value < 1):
                raise Invalid(f"{name} is out of bounds")
        self.weather = replace(self.weather, **given)

    def add(self, given: dict[str, Any]) -> Rule:
        """Let something go wrong from now on; raises Invalid."""
        try:
            rule = Rule(**given)
        except TypeError as error:
            raise Invalid(str(error).replace("Rule.__init__() ", "")) from error
        if rule.kind not in KINDS or rule.where not in PLACES:
            raise Invalid(f"kind is one of {', '.join(KINDS)}; where is one of {', '.join(PLACES)}")
        if not 0 <= rule.share <= 1 or not 0 <= rule.seconds <= 3_600 or len(self.rules) >= _RULES:
            raise Invalid(f"share lies between 0 and 1, seconds up to 3,600, and {_RULES} rules are enough")
        self.rules.append(rule)
        return rule

    def strikes(self, where: str, to: str) -> Rule | None:
        """Decide whether this request meets one of the rules."""
        for rule in self.rules:
            if rule.where not in (where, "all") or (rule.to and rule.to != to):
                continue
            if rule.share < 1 and self.dice.random() >= rule.share:
                continue
            rule.hits += 1
            if rule.times is not None and rule.hits >= rule.times:
                self.rules.remove(rule)
            return rule
        return None

    def pauses(self) -> list[float]:
        """When copies of a webhook leave, in seconds from now: one, or two for a duplicate."""
        weather, dice = self.weather, self.dice
        first = dice.uniform(0, weather.delay) if weather.delay else 0.0
        if weather.reorder and dice.random() < weather.reorder:
            first += dice.uniform(0, weather.reorder_seconds)
        if weather.duplicates and dice.random() < weather.duplicates:
            return [first, first + dice.uniform(0, 0.3)]
        return [first]
