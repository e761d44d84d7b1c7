"""Whether operations change something: known after they ran, foretold before."""

from collections.abc import Callable

from pyinfra.api.operation import OperationMeta

# Left on a server while it is being changed: found there, the visit before this one did not get to its end.
UNFINISHED = "/etc/metachat-unfinished"

_resuming = False


def resume() -> None:
    """Do whatever follows from changes, for those of the visit before may not have been followed up."""
    global _resuming
    _resuming = True


def any_of(*operations: OperationMeta) -> Callable[[], bool]:
    """A condition for what follows from other operations."""
    return lambda: _resuming or any(changes(one) for one in operations)


def changes(operation: OperationMeta) -> bool:
    """Whether an operation changed something, or would."""
    return bool(operation.did_change() if operation.is_complete() else operation.will_change)
