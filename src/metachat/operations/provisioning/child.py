"""The child that visits servers: it alone loads pyinfra, which brings an event loop of its own.

Reads an Order from standard input, and writes one JSON line for each thing that it tells.
"""

import ctypes
import signal
import sys
from collections.abc import Callable
from typing import Any

import gevent.monkey

gevent.monkey.patch_all()

import msgspec  # noqa: E402 - whatever talks to the network is loaded after the patch
from pyinfra.api import Config, Inventory, State  # noqa: E402
from pyinfra.api.connect import connect_all, disconnect_all  # noqa: E402
from pyinfra.api.exceptions import ConnectError, PyinfraError  # noqa: E402
from pyinfra.api.operation import OperationMeta  # noqa: E402
from pyinfra.api.operations import run_ops  # noqa: E402
from pyinfra.api.state import BaseStateCallback, StateStage  # noqa: E402
from pyinfra.context import ctx_config, ctx_host, ctx_state  # noqa: E402
from typing_extensions import override  # noqa: E402

from metachat.operations.provisioning import changes  # noqa: E402
from metachat.operations.provisioning.declaring import watched  # noqa: E402
from metachat.operations.provisioning.order import (  # noqa: E402
    Begun,
    Done,
    Failed,
    Found,
    Looked,
    Order,
    Sealed,
    Step,
    Told,
)
from metachat.operations.provisioning.steps import every, strays  # noqa: E402
from metachat.operations.provisioning.visiting import Look  # noqa: E402

_PR_SET_PDEATHSIG = 1


def main() -> int:
    """Visit the server of the order on standard input."""
    _end_with_parent()
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    try:
        return _visit(order)
    except StepFailed as error:
        name, said = error.args
        _tell(Failed("step_failed", said[-2000:], name))
    except ConnectError as error:
        _tell(Failed("unreachable", str(error)))
    except PyinfraError as error:
        _tell(Failed("failed", str(error)))
    return 1


def _end_with_parent() -> None:
    """Whoever sent us may be killed: then nobody hears any more what we do."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _visit(order: Order) -> int:
    state = _connected(order)
    try:
        if _on_server(state, order, f"test -e {changes.UNFINISHED}"):
            changes.resume()
        with watched() as ledger:
            for step in every(order):
                _prepare(state, lambda step=step: step(order), order)
        (host,) = state.inventory.get_active_hosts()
        look = Look(order, host, ledger.told())
        findings = look.findings()
        _prepare(state, lambda: strays.take_back(findings), order)
        if order.mode == "drift":
            for finding in findings:
                _tell(Found(finding))
            _tell(Looked(look.background is not None, look.declared.quiet))
        if order.mode == "apply":
            _apply(state, order)
            sealed = look.seal()
            if sealed is not None:
                _tell(Sealed(sealed))
        _tell(_done(state))
    finally:
        disconnect_all(state)
    return 0


def _apply(state: State, order: Order) -> None:
    """Run the operations; the one that fails ends the visit, and is told with what it said."""
    state.add_callback_handler(_Reporter())
    state.set_stage(StateStage.Execute)
    _on_server(state, order, f"touch {changes.UNFINISHED}")
    try:
        run_ops(state)
    except PyinfraError as error:
        for operations in state.ops.values():
            for op_hash, operation in operations.items():
                meta = operation.operation_meta
                if meta.is_complete() and not meta.did_succeed():
                    raise StepFailed(_name(state, op_hash), _said(meta)) from error
        raise
    _on_server(state, order, f"rm -f {changes.UNFINISHED}")


def _on_server(state: State, order: Order, command: str) -> bool:
    (host,) = state.inventory.get_active_hosts()
    sudo = order.login_user != "root"
    worked, _ = host.run_shell_command(command, _sudo=sudo, _sudo_password=order.sudo_password or None)
    return bool(worked)


def _said(operation: OperationMeta) -> str:
    lines = operation._combined_output.combined_lines if operation._combined_output else []
    return "\n".join(line.line for line in lines) or "it failed without a word."


class StepFailed(Exception):
    """An operation failed: its name, and what it said."""


def _done(state: State) -> Done:
    changed = [
        operation.operation_meta.did_change()
        if operation.operation_meta.is_complete()
        else _would_change(state, host, op_hash)
        for host, operations in state.ops.items()
        for op_hash, operation in operations.items()
    ]
    return Done(len(changed), sum(changed))


def _connected(order: Order) -> State:
    server = order.server
    data = {
        "ssh_port": server.port, "ssh_user": order.login_user, "ssh_key": order.key,
        "ssh_known_hosts_file": order.known_hosts, "ssh_strict_host_key_checking": "accept-new",
        "ssh_connect_retries": 2,
    }  # fmt: skip
    inventory = Inventory(([(server.address, data)], {}))
    sudo = order.login_user != "root"
    asked = order.sudo_password or None if sudo else None
    config = Config(
        SUDO=sudo, SUDO_PASSWORD=asked, TEMP_DIR=order.folder or None, CONNECT_TIMEOUT=10, FAIL_PERCENT=0
    )
    state = State(inventory, config)
    state.set_stage(StateStage.Connect)
    connect_all(state)
    state.set_stage(StateStage.Prepare)
    return state


def _prepare(state: State, step: Callable[[], None], order: Order) -> None:
    before = len(state.get_op_order())
    with ctx_state.use(state), ctx_config.use(state.config):
        for host in state.inventory.get_active_hosts():
            with ctx_host.use(host):
                step()
    if order.mode != "apply":
        _report_plan(state, state.get_op_order()[before:])


def _report_plan(state: State, names: list[str]) -> None:
    for op_hash in names:
        for host in state.inventory.get_active_hosts():
            if op_hash in state.ops[host]:
                _tell(Step(_name(state, op_hash), _would_change(state, host, op_hash)))


def _would_change(state: State, host: Any, op_hash: str) -> bool:
    operation = state.ops[host][op_hash]
    condition = operation.global_arguments["_if"]
    with ctx_state.use(state), ctx_host.use(host):
        met = all(one() for one in condition) if isinstance(condition, list) else not condition or condition()
        return bool(met and operation.operation_meta.will_change)


def _name(state: State, op_hash: str) -> str:
    return ", ".join(sorted(state.op_meta[op_hash].names))


class _Reporter(BaseStateCallback):
    """Tells what happens while it happens."""

    @staticmethod
    @override
    def operation_end(state: State, op_hash: str) -> None:
        for host in state.inventory.get_active_hosts():
            meta = state.ops[host][op_hash].operation_meta
            if meta.is_complete():
                _tell(Step(_name(state, op_hash), meta.did_change()))

    @staticmethod
    @override
    def operation_host_start(state: State, host: Any, op_hash: str) -> None:
        _tell(Begun(_name(state, op_hash)))


def _tell(told: Told) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
