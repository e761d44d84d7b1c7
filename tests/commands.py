"""Commands of metachat, each in a process of its own, forked from one that has loaded them all already.

`python -m metachat` takes half a second to load what it needs, and tests run it hundreds of times.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
_turn = threading.Lock()
_parents: list["subprocess.Popen[str]"] = []


def run(
    *argv: str, env: Mapping[str, str], given: str = "", cwd: Path | None = None, timeout: int = 60
) -> "subprocess.CompletedProcess[str]":
    """Run `metachat` with something on standard input; after `timeout` seconds it ends by SIGALRM."""
    if not _turn.acquire(blocking=False):
        # Somebody else's is just running, and might wait for what this one does.
        return subprocess.run(
            [sys.executable, "-m", "metachat", *argv], env=env, input=given, cwd=cwd,
            capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip
    try:
        return _forked(argv, dict(env), given, cwd or Path.cwd(), timeout)
    finally:
        _turn.release()


def _forked(
    argv: tuple[str, ...], env: dict[str, str], given: str, cwd: Path, timeout: int
) -> "subprocess.CompletedProcess[str]":
    parent = _parent()
    assert parent.stdin is not None
    assert parent.stdout is not None
    with tempfile.TemporaryDirectory(prefix="metachat-command-") as name:
        files = [Path(name, stream) for stream in ("in", "out", "err")]
        files[0].write_text(given)
        wanted = {"argv": argv, "env": env, "cwd": str(cwd), "timeout": timeout, "files": [*map(str, files)]}
        print(json.dumps(wanted), file=parent.stdin, flush=True)
        code = int(parent.stdout.readline())
        return subprocess.CompletedProcess(argv, code, files[1].read_text(), files[2].read_text())


def _parent() -> "subprocess.Popen[str]":
    if not _parents or _parents[-1].poll() is not None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("METACHAT_")}
        parent = [sys.executable, "-m", "tests.commands"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        _parents.append(subprocess.Popen(parent, cwd=ROOT, env=kept, text=True, **pipes))
    return _parents[-1]


@atexit.register
def _end() -> None:
    for parent in _parents:
        with contextlib.suppress(BrokenPipeError):
            parent.communicate()


def _serve() -> None:
    """Fork a process for each line that is asked, and answer with its exit code."""
    from metachat import cli
    from metachat.cli.group import COMMANDS

    for module in {entry.module for entry in COMMANDS.values()}:
        importlib.import_module(f"metachat.cli.{module}")
    importlib.import_module("typer._adapters")
    assert threading.active_count() == 1
    gc.collect()
    gc.freeze()  # what a child never looks at is never copied
    while line := sys.stdin.readline():
        child = os.fork()
        if child == 0:
            _become(json.loads(line))
            _end_as(cli.main)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _become(wanted: dict[str, Any]) -> None:
    """Turn this process into one that was started as `python -m metachat`."""
    signal.alarm(wanted["timeout"])
    os.environ.clear()
    os.environ.update(wanted["env"])
    time.tzset()
    for number, path in enumerate(wanted["files"]):
        opened = os.open(path, (os.O_WRONLY | os.O_CREAT | os.O_APPEND) if number else os.O_RDONLY, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(wanted["cwd"])
    main = types.ModuleType("__main__")
    main.__package__ = "metachat"
    sys.modules["__main__"] = main
    sys.argv = [str(ROOT / "src/metachat/__main__.py"), *wanted["argv"]]


def _end_as(main: Callable[[], None]) -> None:
    """End with what it says; to take apart all that was loaded takes longer than most commands."""
    code: object = 0
    try:
        main()
    except SystemExit as leaving:
        code = leaving.code
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    _serve()
