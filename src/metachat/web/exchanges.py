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
        self._answers: dict[tuple[str, str, int], int] = {}
        self._lengths: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def expect(self, method: str, route: str, statuses: Iterable[int]) -> None:
        """Show none of an answer before there is one: what a counter begins with is no growth."""
        self._answers.update(((method, route, status), 0) for status in statuses)

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one."""
        key = (method, route, status)
        self._answers[key] = self._answers.get(key, 0) + 1
        lengths = self._lengths.get(route)
        if lengths is None:
            lengths = self._lengths[route] = [0] * len(_BOUNDS)
            self._sums[route] = 0.0
        lengths[bisect_left(_SECONDS, seconds)] += 1
        self._sums[route] += seconds

    @override
    def collect(self) -> Iterator[Metric]:
        answers = CounterMetricFamily(
            "metachat_http_requests", "Requests answered.", labels=["method", "route", "status"]
        )
        for (method, route, status), number in self._answers.items():
            answers.add_metric([method, route, str(status)], number)
        yield answers
        seconds = HistogramMetricFamily(
            "metachat_http_request_seconds", "Time until an answer was complete.", labels=["route"]
        )
        for route, lengths in self._lengths.items():
            buckets = list(zip(_BOUNDS, map(float, accumulate(lengths)), strict=True))
            seconds.add_metric([route], buckets, self._sums[route])
        yield seconds
