"""What processes cost: processor time, which other work on the machine falsifies less than the clock's."""

from collections.abc import Iterable

import psutil


def seconds(roots: Iterable[int]) -> float:
    """Processor seconds that these processes have used so far, with all their children."""
    spent = 0.0
    for root in roots:
        process = psutil.Process(root)
        own = process.cpu_times()
        # Children that ended are counted by their parent, those that run by themselves.
        spent += own.user + own.system + own.children_user + own.children_system
        for child in process.children(recursive=True):
            try:
                times = child.cpu_times()
            except psutil.NoSuchProcess:
                continue
            spent += times.user + times.system
    return spent
