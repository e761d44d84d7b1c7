"""Each process asks for its own settings only, and opens nothing before they are right."""

import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.config.conftest import Judge, accepted

from metachat.foundation import settings

NEEDS = {
    "up": {"METACHAT_PUBLIC_URL"},
    "api": {
        "METACHAT_PUBLIC_URL",
        "METACHAT_DATABASE_URL",
        "METACHAT_SESSION_SECRET",
        "METACHAT_API_KEY_PEPPER",
        "METACHAT_ENCRYPTION_KEY",
    },
    "worker": {"METACHAT_WORKER_DATABASE_URL", "METACHAT_ENCRYPTION_KEY"},
    "migrate": {"METACHAT_OWNER_DATABASE_URL"},
    "cli": set[str](),
}


@pytest.mark.parametrize("process", NEEDS)
def test_a_process_needs_what_it_reads_and_no_more(process: str, judge: Judge) -> None:
    whole = accepted()
    enough = {name: value for name, value in whole.items() if name in NEEDS[process]}
    assert judge(enough, "--production", "--process", process).problems == []
    missing = judge({}, "--production", "--process", process)
    assert missing.names == NEEDS[process]


def test_what_only_the_api_reads_does_not_stop_the_worker(judge: Judge) -> None:
    values = accepted() | {"METACHAT_SESSION_SECRET": "change-me", "METACHAT_CORS_ORIGINS": "*"}
    assert judge(values, "--production", "--process", "worker").problems == []
    assert judge(values, "--production", "--process", "api").names == {
        "METACHAT_SESSION_SECRET",
        "METACHAT_CORS_ORIGINS",
    }


def test_a_process_holds_no_secret_that_it_does_not_read(tmp_path: Path) -> None:
    environment = accepted() | {"METACHAT_DATA_DIR": str(tmp_path)}
    worker = settings.load(environment, "worker")
    assert worker.worker_database_url is not None
    assert worker.session_secret is worker.database_url is worker.owner_database_url is None
    api = settings.load(environment, "api")
    assert api.session_secret is not None
    assert api.worker_database_url is api.owner_database_url is None


class Knocked:
    """A port that counts who comes."""

    def __init__(self) -> None:
        self.callers = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self) -> None:
        while True:
            try:
                self._socket.accept()[0].close()
            except OSError:
                return
            self.callers += 1

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


@pytest.fixture
def knocked() -> Iterator[Knocked]:
    """A port that counts who comes."""
    port = Knocked()
    yield port
    port.close()


@pytest.mark.parametrize("process", ["api", "worker", "migrate", "up"])
def test_it_says_all_before_it_opens_anything(process: str, knocked: Knocked, tmp_path: Path) -> None:
    key = "change-me-f3a9c1d7e2b84065f3a9c1d7e2b84065"
    database = f"postgresql://chat:postgres@127.0.0.1:{knocked.port}/metachat"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("METACHAT_")},
        "METACHAT_PRODUCTION": "true",
        "METACHAT_DATA_DIR": str(tmp_path),
        # Taken: whoever opened its own port would end with another code.
        "METACHAT_PORT": str(knocked.port),
        "METACHAT_LOG_FORMAT": "xml",
        "METACHAT_SESION_SECRET": key,
        "METACHAT_ENCRYPTION_KEY": key,
        **{f"METACHAT_{role}DATABASE_URL": database for role in ("", "WORKER_", "OWNER_")},
    }
    told = subprocess.run(
        [sys.executable, "-m", "metachat", process],
        env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert told.returncode == 78, told.stderr
    named = set(re.findall(r"^(METACHAT_\w+):", told.stderr, re.MULTILINE))
    own = {"migrate": "METACHAT_OWNER_DATABASE_URL", "worker": "METACHAT_WORKER_DATABASE_URL"}
    assert named >= {
        "METACHAT_LOG_FORMAT",
        "METACHAT_SESION_SECRET",
        own.get(process, "METACHAT_DATABASE_URL"),
    }
    assert ("METACHAT_ENCRYPTION_KEY" in named) == (process != "migrate")
    assert key not in told.stderr + told.stdout
    assert "Traceback" not in told.stderr
    assert knocked.callers == 0


def test_development_needs_nothing(tmp_path: Path) -> None:
    loaded = settings.load({"METACHAT_DATA_DIR": str(tmp_path)}, "up")
    assert not loaded.production
    told = subprocess.run(
        [sys.executable, "-m", "metachat", "config", "check"],
        env={"PATH": os.environ["PATH"], "METACHAT_DATA_DIR": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (told.returncode, told.stderr) == (0, "")
