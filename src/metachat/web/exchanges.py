"""Exchanges by route and status, counted by hand: the library's own counting costs several times as much."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_BOUNDS = (*(str(float(bound)) for bound in _SECONDS), "+Inf")


class Exchanges(Collector):
    """Counts within one event loop; the labels are ours, so there are only as many series as routes."""

    def __init__(self) -> None:
        # By method, route and status: the seconds altogether, and how many took up to each bound.
        self._spent: dict[tuple[str, str, int], list[float]] = {}

    def expect(self, method: str, route: str, statuses: Iterable[int]) -> None:
        """Show none of an answer before there is one: what a counter begins with is no growth."""
        for status in statuses:
            self._begin((method, route, status))

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one."""
        key = (method, route, status)
        spent = self._spent.get(key) or self._begin(key)
        spent[0] += seconds
        spent[bisect_left(_SECONDS, seconds) + 1] += 1

    def _begin(self, key: tuple[str, str, int]) -> list[float]:
        spent = self._spent[key] = [0.0] * (len(_BOUNDS) + 1)
        return spent

    @override
    def collect(self) -> Iterator[Metric]:
        answers = CounterMetricFamily(
            "metachat_http_requests", "Requests answered.", labels=["method", "route", "status"]
        )
        routes: dict[str, list[float]] = {}
        for (method, route, status), spent in self._spent.items():
            answers.add_metric([method, route, str(status)], sum(spent[1:]))
            before = routes.get(route, [0.0] * len(spent))
            routes[route] = [known + more for known, more in zip(before, spent, strict=True)]
        yield answers
        seconds = HistogramMetricFamily(
            "metachat_http_request_seconds", "Time until an answer was complete.", labels=["route"]
        )
        for route, (total, *lengths) in routes.items():
            seconds.add_metric([route], list(zip(_BOUNDS, accumulate(lengths), strict=True)), total)
        yield seconds
