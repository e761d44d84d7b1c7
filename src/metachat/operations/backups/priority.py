"""Work that stands back behind everybody who serves: half of the processors, last in every queue."""

import contextlib
import os
import shutil
import subprocess
import threading

from metachat.foundation.settings.clean import without_secrets

_LAST = 19


def step_back() -> None:
    """Bound this thread and whatever it starts from now on; there is no way back without privileges."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _LAST)
    with contextlib.suppress(OSError):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[: max(1, len(cores) // 2)])
    ionice = shutil.which("ionice")
    if ionice is not None:
        # Class 3: the disk when nobody else wants it.
        argv = [ionice, "-c", "3", "-p", str(threading.get_native_id())]
        subprocess.run(argv, capture_output=True, check=False, env=without_secrets())
