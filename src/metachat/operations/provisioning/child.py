"""The child that visits servers: it alone loads pyinfra, which brings an event loop of its own.

Reads an Order from standard input, and writes one JSON line for each thing that it tells.
"""

import sys
from typing import Any

import gevent.monkey

gevent.monkey.patch_all()

import msgspec  # noqa: E402 - whatever talks to the network is loaded after the patch
from pyinfra.api import Config, Inventory, State  # noqa: E402
from pyinfra.api.connect import connect_all, disconnect_all  # noqa: E402
from pyinfra.api.exceptions import ConnectError, PyinfraError  # noqa: E402
from pyinfra.api.operations import run_ops  # noqa: E402
from pyinfra.api.state import BaseStateCallback, StateStage  # noqa: E402
from pyinfra.context import ctx_config, ctx_host, ctx_state  # noqa: E402
from typing_extensions import override  # noqa: E402

from metachat.operations.provisioning.order import Begun, Done, Failed, Order, Step, Told  # noqa: E402
from metachat.operations.provisioning.steps import every  # noqa: E402


def main() -> int:
    """Visit the server of the order on standard input."""
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    try:
        return _visit(order)
    except ConnectError as error:
        _tell(Failed("unreachable", str(error)))
    except PyinfraError as error:
        _tell(Failed("failed", str(error)))
    return 1


def _visit(order: Order) -> int:
    state = _connected(order)
    try:
        for step in every(order):
            before = len(state.get_op_order())
            _prepare(state, step, order)
            names = state.get_op_order()[before:]
            if order.mode == "plan":
                _report_plan(state, names)
        if order.mode == "apply":
            state.add_callback_handler(_Reporter())
            state.set_stage(StateStage.Execute)
            run_ops(state)
        _tell(_done(state))
    finally:
        disconnect_all(state)
    return 0


def _done(state: State) -> Done:
    changes = [
        operation.operation_meta.did_change()
        if operation.operation_meta.is_complete()
        else _would_change(state, host, op_hash)
        for host, operations in state.ops.items()
        for op_hash, operation in operations.items()
    ]
    return Done(len(changes), sum(changes))


def _connected(order: Order) -> State:
    server = order.server
    data = {
        "ssh_port": server.port, "ssh_user": order.login_user, "ssh_key": order.key,
        "ssh_known_hosts_file": order.known_hosts, "ssh_strict_host_key_checking": "accept-new",
        "ssh_connect_retries": 2,
    }  # fmt: skip
    inventory = Inventory(([(server.address, data)], {}))
    sudo = order.login_user != "root"
    state = State(inventory, Config(SUDO=sudo, CONNECT_TIMEOUT=10, FAIL_PERCENT=0))
    state.set_stage(StateStage.Connect)
    connect_all(state)
    state.set_stage(StateStage.Prepare)
    return state


def _prepare(state: State, step: Any, order: Order) -> None:
    with ctx_state.use(state), ctx_config.use(state.config):
        for host in state.inventory.get_active_hosts():
            with ctx_host.use(host):
                step(order)


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

    @staticmethod
    @override
    def operation_host_error(
        state: State, host: Any, op_hash: str, retry_count: int = 0, max_retries: int = 0
    ) -> None:
        meta = state.ops[host][op_hash].operation_meta
        said = str(meta._combined_output) if meta._combined_output else ""
        _tell(Failed("step_failed", said[-2000:], _name(state, op_hash)))


def _tell(told: Told) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
