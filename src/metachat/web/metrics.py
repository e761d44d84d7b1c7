"""What this api process measures about itself, in the form that Prometheus reads."""

import functools

from litestar.types import HTTPScope
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from metachat.foundation.db import Database
from metachat.foundation.measures import OwnProcess, show_pool
from metachat.web.drain import Drain
from metachat.web.exchanges import Exchanges

# Guessed passwords come in a burst, perhaps before anybody was refused here.
_SIGN_INS = ("/sign-in", "/api/v1/session")


class Metrics:
    """The measurements of one process, in a registry of its own."""

    def __init__(self, drain: Drain, database: Database) -> None:
        self._registry = CollectorRegistry()
        OwnProcess(registry=self._registry)
        show_pool(self._registry, database)
        self._exchanges = Exchanges()
        for route in _SIGN_INS:
            self._exchanges.expect("POST", route, (401, 429))
        self._registry.register(self._exchanges)
        streams = Gauge("metachat_http_streams", "Event streams open now.", registry=self._registry)
        streams.set_function(lambda: drain.streams)

        self._refused_hooks = Counter(
            "metachat_hooks_refused", "Providers' requests that were not believed or not taken.",
            ["provider", "reason"], registry=self._registry,
        )  # fmt: skip
        self._updates = Counter(
            "metachat_hooks_updates", "Updates of providers stored before they were acknowledged.",
            ["provider", "kind"], registry=self._registry,
        )  # fmt: skip

    def count_refused_hook(self, provider: str, reason: str) -> None:
        """Count a provider's request that was turned away."""
        self._refused_hooks.labels(provider, reason).inc()

    def refused_hooks(self, provider: str, reason: str) -> int:
        """How many of a provider's requests this process has turned away for a reason."""
        labels = {"provider": provider, "reason": reason}
        return int(self._registry.get_sample_value("metachat_hooks_refused_total", labels) or 0)

    def count_updates(self, provider: str, kind: str, count: int) -> None:
        """Count updates that are stored."""
        _labelled(self._updates, provider, kind).inc(count)

    def count(self, scope: HTTPScope, status: int, seconds: float) -> None:
        """Count an exchange under its route, never under its address: ids would make endless series."""
        route = scope.get("path_template") or "unmatched"
        method = scope["method"] if route != "unmatched" else "any"
        self._exchanges.count(method, route, status, seconds)

    def text(self) -> bytes:
        """Write them all down."""
        return generate_latest(self._registry)


# Finding a series by its labels costs more than counting it; there are only as many as we have routes.
@functools.lru_cache(maxsize=4096)
def _labelled(metric: Counter, *labels: str) -> Counter:
    return metric.labels(*labels)
