"""How long `metachat config check` takes, from the start of the process to its end."""

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from bench.result import Result

RUNS = 15
EXAMPLE = Path(__file__).parent.parent / ".env.example"
# Beside the interpreter that runs us, so that the same installation is measured.
METACHAT = Path(sys.executable).parent / "metachat"


def run() -> list[Result]:
    """Check the environment, and a whole file by the rules of production, many times each."""
    here = timed([str(METACHAT), "config", "check"], 0)
    file = timed([str(METACHAT), "config", "check", "--env-file", str(EXAMPLE), "--production", "--json"], 78)
    bare = timed([sys.executable, "-c", "pass"], 0)
    return [
        Result("config check, of the environment, median", median(here), "ms", 300),
        Result("config check, of a file by production's rules, median", median(file), "ms", 300),
        Result("config check, of a file by production's rules, worst", max(file), "ms"),
        Result("a Python that does nothing, median", median(bare), "ms"),
    ]


def timed(argv: list[str], code: int) -> list[float]:
    """Milliseconds of wall time of each run; the first, which fills the caches, doesn't count."""
    times: list[float] = []
    for _ in range(RUNS + 1):
        began = time.perf_counter()
        done = subprocess.run(argv, capture_output=True, check=False)
        times.append(1000 * (time.perf_counter() - began))
        assert done.returncode == code, done.stderr.decode()
    return times[1:]
