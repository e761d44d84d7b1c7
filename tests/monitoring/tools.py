"""Debian's own programs, where infra/test_tools.sh has put them or the system has them."""

import shutil
from pathlib import Path

import pytest

UNPACKED = Path("/var/cache/metachat-tests/prometheus/usr/bin")


def program(name: str) -> str:
    """Find a program; skips the test where it is not."""
    found = shutil.which(name) or shutil.which(name, path=str(UNPACKED))
    if found is None:
        pytest.skip(f"{name} is not on this machine; infra/test_tools.sh brings it, as root")
    return found
