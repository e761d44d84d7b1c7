"""Compares servers with the site file and the code, over SSH; changes nothing there."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from metachat.foundation.errors import Kind, Refusal
from metachat.operations import journal
from metachat.operations.drift import background, results
from metachat.operations.drift.comparing import RELEASES
from metachat.operations.drift.model import Finding, Item
from metachat.operations.drift.undoing import PROVISION
from metachat.operations.provisioning import running
from metachat.operations.provisioning.names import UNDO
from metachat.operations.provisioning.order import Found, Looked, Step, Told
from metachat.operations.provisioning.running import Means
from metachat.operations.site import Server, Site


class NothingToAccept(Refusal):
    """No such difference was found, so there is nothing to accept."""

    code, kind = "nothing_to_accept", Kind.NOT_FOUND


class NotAcceptable(Refusal):
    """Code says otherwise: change the site file, or let provisioning undo it."""

    code, kind = "not_acceptable", Kind.CONFLICT


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What lies between one server and the code."""

    server: str
    findings: list[Finding]


Say = Callable[[str, Told], None]


def look(site: Site, servers: list[Server], means: Means, say: Say) -> list[Report]:
    """Compare each server; the result is kept in the data folder. Raises what provisioning raises."""
    return [_look(site, server, means, say) for server in servers]


def _look(site: Site, server: Server, means: Means, say: Say) -> Report:
    heard = _Heard(say)
    try:
        running.provision(site, [server], "drift", means, heard.hear)
    except Refusal as refusal:
        results.keep(means.data, server.name, results.failed(refusal.sentence))
        raise
    report = Report(server=server.name, findings=heard.findings())
    results.keep(means.data, server.name, results.compared(report.findings))
    journal.record(means.data, "drift findings", f"{server.name} {len(report.findings)}")
    return report


def accept(data: Path, report: Report, told: str) -> Finding:
    """Make a difference part of the server's background; raises NothingToAccept, NotAcceptable."""
    chosen = next((one for one in report.findings if f"{one.what} {one.where}" == told), None)
    known = background.kept(data, report.server)
    if chosen is None or known is None:
        names = "\n".join(f"  {one.what} {one.where}" for one in report.findings)
        raise NothingToAccept(f"{told!r} is not among the differences of {report.server}:\n{names}")
    if chosen.what not in background.KINDS or chosen.step:
        raise NotAcceptable(f"{told}: {chosen.fix}")
    item = Item(chosen.what, chosen.where)
    background.keep(data, report.server, background.accepted(known, item, chosen.found))
    return chosen


class _Heard:
    """Gathers what a visit tells."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._found: list[Finding] = []
        self._changes: list[str] = []
        self._quiet: set[str] = set()
        self._known = False

    def hear(self, server: str, told: Told) -> None:
        """Take in one thing told."""
        self._say(server, told)
        if isinstance(told, Found):
            self._found.append(told.finding)
        elif isinstance(told, Looked):
            self._known, self._quiet = told.known, set(told.quiet)
        elif isinstance(told, Step) and told.change and not told.name.startswith(UNDO):
            self._changes.append(told.name)

    def findings(self) -> list[Finding]:
        """The differences; what a difference names already, or follows from another, is not told twice."""
        if not self._known:
            return [_unknown(), *(_step(name) for name in self._changes)]
        told = self._quiet | {one.step for one in self._found}
        changes = [name for name in self._changes if name not in told and RELEASES not in name]
        return [*self._found, *(_step(name) for name in changes)]


def _unknown() -> Finding:
    return Finding(
        what="background", where="of the server", expected="taken at the first provisioning", found="",
        fix=PROVISION,
    )  # fmt: skip


def _step(name: str) -> Finding:
    return Finding(
        what="step", where=name, expected="no change", found="would change something", fix=PROVISION
    )
