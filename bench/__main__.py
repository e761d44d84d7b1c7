"""Run the benchmarks: `python -m bench [NAME ...]`; without a name all of them, one after the other.

Each module has `run() -> list[Result]` (plain or async). Exit code 1 when a figure misses its reference.
"""

import asyncio
import importlib
import inspect
import logging
import os
import platform
import sys
import time

from bench.result import Result
from metachat.foundation import log

ALL = (
    "weight",
    "config_check",
    "retrieval",
    "answers",
    "first_token",
    "queue_drain",
    "ingest",
    "chat",
    "streams",
    "engine",
    "engine_full",
    "crowd_engine",
    "engine_slow",
    "turns_memory",
    "rotation",
    "metrics_overhead",
    "backups",
    "backups_restore",
    "install",
)


def main(names: list[str]) -> int:
    """Run the named benchmarks and print their figures."""
    unknown = sorted(set(names) - set(ALL))
    if unknown:
        print(f"no such benchmark: {', '.join(unknown)}; there are: {', '.join(ALL)}", file=sys.stderr)
        return 64
    log.configure("bench", "text", logging.WARNING)
    print(machine())
    missed = 0
    for name in names or ALL:
        print(f"\n== {name} ==", flush=True)
        started = time.perf_counter()
        for result in measure(name):
            print(result.line(), flush=True)
            missed += result.reached is False
        print(f"   ({time.perf_counter() - started:.1f} s; a million in {_million():.0f} ms)", flush=True)
    print(f"\n{missed} figure(s) missed their reference" if missed else "\nevery reference reached")
    return 1 if missed else 0


def measure(name: str) -> list[Result]:
    """Run one benchmark module."""
    run = importlib.import_module(f"bench.{name}").run
    return asyncio.run(run()) if inspect.iscoroutinefunction(run) else run()


def machine() -> str:
    """Describe what the figures were measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}, "
        f"CPython {platform.python_version()}, {time.strftime('%Y-%m-%d')}; "
        f"a core counts a million in {_million():.0f} ms now"
    )


def _million() -> float:
    # Machines that share a processor with others are twice as fast at one time as at another.
    spent = []
    for _ in range(5):
        began, total = time.perf_counter(), 0
        for number in range(1_000_000):
            total += number
        spent.append((time.perf_counter() - began) * 1000)
    return min(spent)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
