"""A measured figure beside the limit or the peer it is held against."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Result:
    """One figure: `name` in words, `value` in `unit`, and what it is held against.

    `reference` is a fixed limit, or what a peer did in the same run (`held_against` says which); None for
    a figure that is only shown. `better` tells which side of the reference is good.
    """

    name: str
    value: float
    unit: str
    reference: float | None = None
    held_against: str = "limit"
    better: Literal["lower", "higher"] = "lower"

    @property
    def reached(self) -> bool | None:
        """Whether the reference is reached; None when there is none."""
        if self.reference is None:
            return None
        return self.value <= self.reference if self.better == "lower" else self.value >= self.reference

    def line(self) -> str:
        """One line of the report: figure, reference, ratio, verdict."""
        figure = f"{self.name:<62} {self.value:>12,.2f} {self.unit:<9}"
        if self.reference is None:
            return figure
        sign = "<=" if self.better == "lower" else ">="
        ratio = self.value / self.reference if self.reference else float("inf")
        verdict = "ok" if self.reached else "MISSED"
        return f"{figure} {sign} {self.reference:,.2f} ({self.held_against})  ratio {ratio:.2f}  {verdict}"
