"""What a watch measures, and when it calls something trouble; pure."""

from dataclasses import dataclass, field

# One failure may be a hiccup of the network between; two in a row are trouble, and two successes its end.
AFTER = 2


@dataclass(frozen=True, slots=True)
class Result:
    """What one probe found; `said` is the evidence."""

    probe: str
    ok: bool
    seconds: float
    said: str


@dataclass(slots=True)
class Judge:
    """Follows one probe; `open` is whether people were told of trouble."""

    open: bool = False
    _against: int = field(default=0)

    @property
    def doubts(self) -> bool:
        """Whether the last result was against what people were told: worth another look soon."""
        return self._against > 0

    def hear(self, result: Result) -> bool:
        """Take a result in; tells whether it turned over what people were last told."""
        self._against = self._against + 1 if result.ok == self.open else 0
        if self._against < AFTER:
            return False
        self.open, self._against = not self.open, 0
        return True


def jumped(wall: float, steady: float, tolerance: float = 5.0) -> float | None:
    """By how many seconds the clock was set between two looks; None when it merely ran."""
    difference = wall - steady
    return difference if abs(difference) > tolerance else None
