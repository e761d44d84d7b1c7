"""The application, started on restored data, cut off from the world, and asked one question."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.settings import PREFIX
from metachat.operations.backups.database import Server
from metachat.operations.local import keys
from metachat.operations.local.children import die_with_parent

START_SECONDS = 300.0
ANSWER_SECONDS = 120.0

_NOBODY = "http://127.0.0.1:9"

QUESTION = """
SELECT t.slug, left(regexp_replace(c.text, '\\s+', ' ', 'g'), 120)
  FROM chunks c JOIN tenants t USING (tenant_id) ORDER BY length(c.text) DESC, c.id LIMIT 1
"""


class NoAnswer(Refusal):
    """The application does not answer on the restored data."""

    code, kind = "drill_no_answer", Kind.UNAVAILABLE


def forget_work(server: Server) -> None:
    """Take all waiting work out of a copy: what production still has to send must not be sent twice."""
    server.ask("DELETE FROM jobs", keys.DATABASE)


def question(server: Server) -> tuple[str, str] | None:
    """A tenant, and words of a document that it must find again; None when nobody has one."""
    found = server.ask(QUESTION, keys.DATABASE)
    return (found[0][0], found[0][1]) if found else None


def answer(data: Path, asked: tuple[str, str] | None, environ: Mapping[str, str]) -> str:
    """Start the application and ask it; tells what it answered, raises NoAnswer."""
    with _running(data, environ) as environment:
        if asked is None:
            return "it is ready; no tenant has a document to ask about"
        tenant, text = asked
        done = subprocess.run(
            [sys.executable, "-m", "metachat", "ask", text, "--tenant", tenant, "--json"],
            env=environment, capture_output=True, text=True, check=False, timeout=ANSWER_SECONDS,
        )  # fmt: skip
    try:
        citations = json.loads(done.stdout)["citations"]
    except (ValueError, KeyError) as error:
        raise NoAnswer(done.stderr.strip()[-500:]) from error
    if not citations:
        raise NoAnswer(f"asked about {text!r}, it found nothing to cite")
    return f"asked about {text!r}, it cited {citations[0]['document']!r}"


@contextlib.contextmanager
def _running(data: Path, environ: Mapping[str, str]) -> Iterator[dict[str, str]]:
    environment = _environment(data, environ)
    log = data / "drill.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "metachat", "up", "--no-demo", "--workers", "2"],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment,
            preexec_fn=die_with_parent(signal.SIGTERM),
        )  # fmt: skip
    try:
        _await(process, log)
        yield environment
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(60)
        process.kill()
        process.wait()


def _await(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while "Ready in" not in log.read_text(errors="replace"):
        if process.poll() is not None or time.monotonic() > deadline:
            raise NoAnswer(log.read_text(errors="replace")[-1000:])
        time.sleep(0.1)


def _environment(data: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Nothing of production's settings: no target to archive to, and nobody to send anything to."""
    kept = {name: value for name, value in environ.items() if not name.upper().startswith(PREFIX)}
    kept.pop("CREDENTIALS_DIRECTORY", None)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    return {
        **kept, f"{PREFIX}DATA_DIR": str(data), f"{PREFIX}PORT": str(port), f"{PREFIX}GRAPH_URL": _NOBODY
    }  # fmt: skip
