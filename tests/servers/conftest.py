"""One server for the whole suite, provisioned as its operator does it: over SSH, by the command line."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.servers import guests
from tests.servers.customers import PER_SECOND
from tests.servers.sites import DOMAIN, Live, Operator, Tell
from typing_extensions import override
from xdist.scheduler import LoadScopeScheduling

_HERE = Path(__file__).parent
_FIGURE = "figure"
# On servers and networks of their own: with `-n 2` they run beside the others.
_BESIDE = ("test_monitoring.py", "test_rebuild.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep these out of `make test`; each may wait for the server to be made."""
    reason = guests.missing()
    for item in items:
        if _HERE in Path(item.path).parents:
            item.add_marker(pytest.mark.servers)
            item.add_marker(pytest.mark.timeout(1200))
            if reason is not None:
                item.add_marker(pytest.mark.skip(reason=reason))


class Apart(LoadScopeScheduling):
    """Gives one process what shares a server, and another what has servers of its own."""

    @override
    def _split_scope(self, nodeid: str) -> str:
        return "beside" if any(name in nodeid for name in _BESIDE) else "site"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    """Keep what shares a server in one process; other suites are scheduled as they like."""
    return Apart(config, log) if config.getoption("markexpr") == "servers" else None


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Tell:
    """Keep a figure for the end of the run, whichever process measured it."""
    return lambda figure: record_property(_FIGURE, figure)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the figures."""
    reports = [report for some in terminalreporter.stats.values() for report in some]
    told = [
        figure
        for report in reports
        if getattr(report, "when", "") == "call"
        for name, figure in report.user_properties
        if name == _FIGURE
    ]
    if told:
        terminalreporter.section("figures")
        terminalreporter.write("".join(f"{figure}\n" for figure in told))


@pytest.fixture(scope="session")
def fleet() -> Iterator[guests.Fleet]:
    """A network for throwaway servers."""
    folder = Path(tempfile.mkdtemp(prefix=guests.folder_prefix(), dir="/var/lib"))
    try:
        with guests.fleet(folder) as servers:
            yield servers
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def operator(fleet: guests.Fleet) -> Operator:
    """The person who runs the site."""
    home = fleet.folder / "operator"
    home.mkdir()
    return Operator(home, fleet.key)


@pytest.fixture(scope="session")
def live(fleet: guests.Fleet, operator: Operator) -> Live:
    """A bare server made into the site."""
    guest = fleet.boot("alpha")
    operator.writes_site(guest.address)
    began = time.monotonic()
    ran = operator.provisions()
    assert ran.returncode == 0, f"{ran.stderr}\n{ran.stdout}"
    seconds = time.monotonic() - began
    authority = fleet.folder / "authority.crt"
    site = Live(guest, operator, seconds, authority)
    authority.write_text(site.root("cat /var/lib/caddy/pki/authorities/local/root.crt"))
    site.opens_chat()
    return site


@pytest.fixture(scope="session")
def elsewhere(fleet: guests.Fleet, live: Live) -> guests.Guest:
    """A machine somewhere in the world, which knows the site by its name."""
    guest = fleet.boot("gamma")
    guest.ssh(f"echo '{live.guest.address} {DOMAIN}' >> /etc/hosts")
    return guest


@pytest.fixture(scope="session")
def visitors(live: Live) -> list[dict[str, str]]:
    """Customers whose conversations a person took over: nobody answers, so that pace is all."""
    made = [live.begins_chat() for _ in range(PER_SECOND)]
    for visitor in made:
        assert live.request("POST", f"/chat/{live.channel}/hand-off", {}, visitor)[0] == 200
    return made
