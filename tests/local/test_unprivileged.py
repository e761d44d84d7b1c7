"""The same as an ordinary user; when the tests run as root, `nobody` plays that part."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.local.conftest import PATIENCE, Up, until
from typing_extensions import override

import metachat

SOURCES = Path(metachat.__file__).parents[1]
INTERPRETERS = (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}")


class Ordinary(Up):
    """A platform that an ordinary user runs, with our sources and an interpreter in that user's reach."""

    def __init__(self, data: Path, interpreter: str) -> None:
        super().__init__(data)
        self.interpreter = interpreter
        self.output = Path(tempfile.mkdtemp()) / "out"

    @property
    @override
    def environment(self) -> dict[str, str]:
        """As ever, with our libraries, since the interpreter may be another one."""
        libraries = f"{SOURCES}:{sysconfig.get_path('purelib')}"
        return super().environment | {"PYTHONPATH": libraries, "HOME": str(self.data.parent)}

    @override
    def begins(self, *more: str) -> subprocess.Popen[bytes]:
        """Start it as that user."""
        argv = [self.interpreter, "-m", "metachat", "up", *self.options, *more]
        with self.output.open("wb") as output:
            return subprocess.Popen(
                argv, **dropped(), cwd="/", env=self.environment,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip

    @override
    def cleans_up(self) -> None:
        """Only processes: the folder is the fixture's."""
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.stops()
            self.process.kill()
        shutil.rmtree(self.output.parent)


def dropped() -> dict[str, Any]:
    """What to give to subprocess so that an ordinary user runs a command."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": list[int]()}


@pytest.fixture
def interpreter() -> str:
    """A Python that an ordinary user may run, and that finds our libraries."""
    libraries = {"PYTHONPATH": f"{SOURCES}:{sysconfig.get_path('purelib')}", "PATH": os.environ["PATH"]}
    for candidate in INTERPRETERS:
        argv = [candidate, "-c", "import asyncpg, metachat, uvloop"]
        with contextlib.suppress(FileNotFoundError, PermissionError):
            if subprocess.run(argv, **dropped(), env=libraries, cwd="/", check=False).returncode == 0:
                return candidate
    pytest.skip(f"an ordinary user reaches neither our sources nor one of {', '.join(INTERPRETERS)}")


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder of that user's own."""
    made = Path(tempfile.mkdtemp(prefix="metachat-test-"))
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(made, nobody.pw_uid, nobody.pw_gid)
    yield made
    made.chmod(0o700)
    shutil.rmtree(made)


def test_an_ordinary_user_whose_folder_is_too_deep_for_a_socket(home: Path, interpreter: str) -> None:
    ordinary = Ordinary(home / ("deep-" * 12) / ("deeper-" * 10) / "data", interpreter)
    try:
        ordinary.starts()
        assert ordinary.status()["healthy"]
        user = Path(f"/proc/{ordinary.supervisor}").stat().st_uid
        assert user != 0
        assert {member.uids().real for member in ordinary.family()} == {user}
        sockets = list(Path("/tmp").glob(f"metachat-*-{user}"))
        assert all(folder.stat().st_mode & 0o777 == 0o700 for folder in sockets)
        assert sockets
        family = ordinary.family()
        assert ordinary.stops(signal.SIGINT) == 0
        until(lambda: not any(member.is_running() for member in family), "nothing is left", 10)
        assert not any(folder.exists() for folder in sockets)
    finally:
        ordinary.cleans_up()


def test_a_folder_that_may_not_be_written(home: Path, interpreter: str) -> None:
    home.chmod(0o555)
    ordinary = Ordinary(home / "data", interpreter)
    try:
        assert ordinary.begins().wait(PATIENCE) == 73
        assert f"{home / 'data'}: Permission denied" in ordinary.said()
        assert "--data" in ordinary.said()
    finally:
        ordinary.cleans_up()


def test_a_port_that_needs_a_privilege(home: Path, interpreter: str) -> None:
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 80:
        pytest.skip("on this machine anyone may listen on port 80")
    ordinary = Ordinary(home / "data", interpreter)
    try:
        assert ordinary.begins("--port", "80").wait(PATIENCE) == 65
        assert "--port 8080" in ordinary.said()
    finally:
        ordinary.cleans_up()
