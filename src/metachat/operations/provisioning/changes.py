"""Whether operations change something: known after they ran, foretold before."""

from collections.abc import Callable

from pyinfra.api.operation import OperationMeta


def any_of(*operations: OperationMeta) -> Callable[[], bool]:
    """A condition for what follows from other operations."""
    return lambda: any(one.did_change() if one.is_complete() else one.will_change for one in operations)
