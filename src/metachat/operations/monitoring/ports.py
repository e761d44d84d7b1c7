"""Where what monitors listens on a server with the role monitor: on the loopback address, all of it."""

from metachat.operations.site import Server, Site

PROMETHEUS, ALERTMANAGER, NODE, BEATS = 9090, 9093, 9100, 9099


def of_worker(number: int) -> int:
    """Where a worker shows its measurements."""
    return 8200 + number


def used(site: Site, server: Server) -> list[int]:
    """All of them on one server."""
    if "monitor" not in server.roles:
        return []
    workers = [of_worker(number) for number in range(1, site.sizes.workers + 1)]
    return [*workers, PROMETHEUS, ALERTMANAGER, BEATS, NODE]
