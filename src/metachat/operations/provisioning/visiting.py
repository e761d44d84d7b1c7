"""The part of a visit that looks: an inventory in one go, and what it says against what the steps declare."""

import inspect
import json
import re
from collections.abc import Iterable
from typing import Any

import msgspec
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host
from pyinfra.connectors.util import CommandOutput

from metachat.operations.drift import background, inventory
from metachat.operations.drift.comparing import compare
from metachat.operations.drift.model import Background, Declared, Expectation, Finding, Place
from metachat.operations.monitoring.ports import used
from metachat.operations.provisioning.order import Order

# The last two digits of its port are its number.
_API_SOCKET = re.compile(r"metachat-api@(\d\d)\.socket$")


class Look:
    """One server, as it was when the visit began, against what the visit's steps declare."""

    def __init__(self, order: Order, host: Host, declared: Declared) -> None:
        """Take the inventory, unless the server is bare."""
        self.order = order
        self.host = host
        self.declared = declared
        self.place = place(order, declared)
        self.before = take(order, host, declared.files.keys() | declared.links.keys())
        self.background = order.background or _left_there(self.before)

    def findings(self) -> list[Finding]:
        """Every difference; without a background, additions cannot be told from what the image brought."""
        if self.before is None or self.background is None:
            return []
        return compare(self.before, self.declared, self.place, self.background)

    def seal(self) -> Background | None:
        """After a visit: settle the server's background, and leave there what it compares itself with.

        None when the server cannot be looked at.
        """
        after = take(self.order, self.host, self.declared.files.keys() | self.declared.links.keys())
        if after is None:
            return None
        settled = self._settled(after)
        expectation = msgspec.json.encode(self._expectation(settled, after))
        if after.get("expectation", "").encode() != expectation:
            _leave(self.order, self.host, expectation)
        return settled

    def _settled(self, after: dict[str, Any]) -> Background:
        known = self.background
        if known is not None and self.before is not None:
            return background.grown(known, self.before, after, self.declared)
        try:
            return background.first(after, self.declared)
        except background.InventoryIncomplete as refusal:
            raise PyinfraError(f"{refusal.sentence} {refusal.detail}") from refusal

    def _expectation(self, settled: Background, after: dict[str, Any]) -> Expectation:
        return Expectation(
            server=self.order.server.name, release=self.order.release, declared=self.declared,
            place=self.place, background=settled, rules=after.get("rules_meant") or "",
            proxy=msgspec.Raw(msgspec.json.encode(after.get("proxy_meant"), order="sorted")),
        )  # fmt: skip


def place(order: Order, declared: Declared) -> Place:
    """What code says of the server besides its steps."""
    site, server = order.site, order.server
    sockets = [match for unit in declared.enabled if (match := _API_SOCKET.match(unit))]
    ports = sorted(8100 + int(match.group(1)) for match in sockets)
    return Place(
        roles=list(server.roles), ssh_port=server.port, http3=site.tls.http3,
        private_address=server.private_address, api_ports=ports,
        monitor_ports=used(site, server),
    )  # fmt: skip


def take(order: Order, host: Host, also: Iterable[str]) -> dict[str, Any] | None:
    """Take an inventory over the visit's own connection; None on a server that was never set up."""
    known, _ = _run(order, host, "test -e /opt/metachat/current && command -v python3")
    if not known:
        return None
    script = f"{inspect.getsource(inventory)}\nprint(json.dumps(take({sorted(also)!r})))\n"
    worked, output = _run(order, host, "python3 -I -", script)
    if not worked:
        raise PyinfraError(f"the inventory could not be taken: {output.stderr[-1500:]}")
    found: dict[str, Any] = json.loads(output.stdout)
    return found


def _leave(order: Order, host: Host, content: bytes) -> None:
    path = inventory.EXPECTATION
    worked, output = _run(
        order, host, f"umask 077; cat > {path}.new && mv {path}.new {path}", content.decode()
    )
    if not worked:
        raise PyinfraError(f"{path} could not be written: {output.stderr[-500:]}")


def _run(order: Order, host: Host, command: str, stdin: str = "") -> tuple[bool, CommandOutput]:
    """Run something as root, outside of the visit's operations."""
    sudo = order.login_user != "root"
    password = order.sudo_password or None if sudo else None
    return host.run_shell_command(
        command, _sudo=sudo, _sudo_password=password, _stdin=stdin or None, _timeout=120
    )


def _left_there(found: dict[str, Any] | None) -> Background | None:
    """What an earlier provisioning from another machine left on the server itself."""
    told = (found or {}).get("expectation")
    return msgspec.json.decode(told, type=Expectation).background if told else None
