"""The operators' manual knows every way in which the platform refuses to start."""

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

from metachat.foundation import migrations
from metachat.foundation.errors import EXIT, Refusal
from metachat.foundation.settings import InvalidSettings
from metachat.operations import local

MANUAL = (Path(__file__).parents[2] / "docs" / "operators.md").read_text()
# One row a refusal: | *The sentence.* | exit code | what to do |
ROWS = dict(re.findall(r"^\| \*(.+?)\* \| (\d+) \|", MANUAL, re.MULTILINE))


def refusals() -> list[type[Refusal]]:
    """Every refusal that the local operations and the migrations declare, and that of the settings."""
    modules = [
        migrations,
        *(
            importlib.import_module(module.name)
            for module in pkgutil.iter_modules(local.__path__, f"{local.__name__}.")
        ),
    ]
    declared = {
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Refusal) and value.__module__ == module.__name__
    }
    return [InvalidSettings, *sorted(declared, key=lambda refusal: refusal.code)]


@pytest.mark.parametrize("refusal", refusals(), ids=lambda refusal: refusal.code)
def test_every_refusal_is_explained(refusal: type[Refusal]) -> None:
    sentence = (refusal.__doc__ or "").strip().splitlines()[0]
    assert sentence in ROWS
    assert int(ROWS[sentence]) == getattr(refusal, "exit_code", EXIT[refusal.kind])
