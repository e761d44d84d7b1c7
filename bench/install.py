"""From a clone to the first cited answer, and what the running platform weighs.

Clones the committed tree into an empty folder, runs `make run` as a newcomer would (warm package cache),
asks until the first answer comes, stops, starts again, and adds up memory and disk.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from bench.environment import free_port
from bench.result import Result

ROOT = Path(__file__).parent.parent
QUESTION = "How long does delivery to Germany take?"


def run() -> list[Result]:
    """Measure installation, both starts, memory and disk."""
    with tempfile.TemporaryDirectory(prefix="metachat-install-") as folder:
        clone = Path(folder) / "metachat"
        started = time.perf_counter()
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        results = first_start(clone, started)
        results += second_start(clone)
        results.append(
            Result("environment on disk, with the embeddings model", disk(clone / ".venv"), "MB", 500)
        )
        purge(clone)
        return results


def first_start(clone: Path, started: float) -> list[Result]:
    """From the clone to the first answer."""
    with platform(["make", "run", f"ARGS=--port {free_port()}"], clone) as up:
        answer = first_answer(clone, deadline=started + 180)
        elapsed = time.perf_counter() - started
        print(f"   first answer: {answer['answer'][:90]!r} citing {answer['citations'][0]['document']}")
        wait_until_indexed(clone)
        figures = memory(up.pid)
    return [Result("clone to first cited answer, warm package cache", elapsed, "s", 60), *figures]


def second_start(clone: Path) -> list[Result]:
    """A start with everything in place, until it serves."""
    metachat = str(clone / ".venv/bin/metachat")
    started = time.perf_counter()
    with platform([metachat, "up", "--port", str(free_port())], clone):
        first_answer(clone, deadline=started + 60, patience="status")
        elapsed = time.perf_counter() - started
    return [Result("second start until ready", elapsed, "s", 5)]


@contextmanager
def platform(command: list[str], clone: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the platform, and stop it as Ctrl-C does."""
    log = (clone.parent / "up.log").open("ab")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("METACHAT_")}
    environment.pop("VIRTUAL_ENV", None)
    up = subprocess.Popen(
        command, cwd=clone, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        yield up
    finally:
        os.killpg(up.pid, signal.SIGINT)
        try:
            up.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(up.pid, signal.SIGKILL)
            raise
        finally:
            log.close()
            if up.returncode not in (0, 2, 130, -2):
                sys.stderr.write((clone.parent / "up.log").read_text()[-4000:])


def first_answer(clone: Path, deadline: float, patience: str = "ask") -> dict[str, Any]:
    """Try until the platform answers (or, for `status`, says that it is ready); fails at the deadline."""
    metachat = clone / ".venv/bin/metachat"
    arguments = ["ask", QUESTION, "--json"] if patience == "ask" else ["status", "--json"]
    said = ""
    while time.perf_counter() < deadline:
        if metachat.exists():
            asked = subprocess.run(
                [str(metachat), *arguments], cwd=clone, capture_output=True, text=True, check=False
            )
            said = asked.stdout + asked.stderr
            if asked.returncode == 0:
                reply = json.loads(asked.stdout)
                if patience != "ask" or reply["citations"]:
                    return reply
        time.sleep(0.1)
    raise TimeoutError(f"no answer; the last try said: {said[-500:]}")


def wait_until_indexed(clone: Path) -> None:
    """Let the demo documents be indexed, so that memory is that of a working platform."""
    deadline = time.perf_counter() + 120
    while time.perf_counter() < deadline:
        listed = subprocess.run(
            [str(clone / ".venv/bin/metachat"), "knowledge", "list", "--json"],
            cwd=clone, capture_output=True, text=True, check=True,
        )  # fmt: skip
        documents = json.loads(listed.stdout)
        items = documents["items"] if isinstance(documents, dict) else documents
        if items and all(document["status"] == "ready" for document in items):
            return
        time.sleep(0.5)
    raise TimeoutError("the demo documents were not indexed in 120 s")


def memory(root: int) -> list[Result]:
    """Sum what the processes below a process take, in MB of 2^20 bytes.

    A resident size (RSS) counts pages that processes share in each of them; a proportional one (PSS) shares
    them out, so that its sum is what the machine really gives.
    """
    sums = dict.fromkeys(("ours rss", "ours pss", "all rss", "all pss"), 0)
    for process in psutil.Process(root).children(recursive=True):
        if process.name() in ("make", "sh"):
            continue
        used = process.memory_full_info()
        for whose in ("all",) if "postgres" in process.name() else ("ours", "all"):
            sums[f"{whose} rss"] += used.rss
            sums[f"{whose} pss"] += used.pss
    mb = {name: size / 2**20 for name, size in sums.items()}
    return [
        Result("memory without Postgres, RSS", mb["ours rss"], "MB", 350),
        Result("memory without Postgres, PSS", mb["ours pss"], "MB"),
        Result("memory with Postgres, RSS", mb["all rss"], "MB", 600),
        Result("memory with Postgres, PSS", mb["all pss"], "MB"),
    ]


def disk(folder: Path) -> float:
    """Size of a folder's files in MB of 2^20 bytes, as they occupy the disk."""
    blocks = {}
    for path in folder.rglob("*"):
        status = path.lstat()
        blocks[status.st_ino] = status.st_blocks * 512
    return sum(blocks.values()) / 2**20


def purge(clone: Path) -> None:
    """Remove what the platform keeps outside of its clone when it runs as root."""
    shutil.rmtree(clone / "var", ignore_errors=True)
