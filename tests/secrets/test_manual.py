"""The manual of secrets knows every refusal, every store and every verb."""

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

from metachat.cli.secrets import app, single
from metachat.foundation import key_records
from metachat.foundation.errors import EXIT, Refusal
from metachat.operations import journal, secrets
from metachat.operations.keys import model, verbs
from metachat.operations.secrets import opening

MANUAL = (Path(__file__).parents[2] / "docs" / "secrets.md").read_text()
ROWS = dict(re.findall(r"^\| \*(.+?)\* \| (\d+) \|", MANUAL, re.MULTILINE))


def refusals() -> list[type[Refusal]]:
    """Every refusal that the secrets' modules, the journal and the verbs declare, but their base."""
    names = [module.name for module in pkgutil.iter_modules(secrets.__path__, f"{secrets.__name__}.")]
    modules = [journal, single, key_records, model, verbs, *map(importlib.import_module, names)]
    declared = {
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Refusal) and value.__module__ == module.__name__
    }
    return sorted(declared - {secrets.StoreRefusal}, key=lambda refusal: refusal.code)


@pytest.mark.parametrize("refusal", refusals(), ids=lambda refusal: refusal.code)
def test_every_refusal_is_explained(refusal: type[Refusal]) -> None:
    sentence = (refusal.__doc__ or "").strip().splitlines()[0]
    assert sentence in ROWS
    assert int(ROWS[sentence]) == getattr(refusal, "exit_code", EXIT[refusal.kind])


def test_every_store_and_verb_is_named() -> None:
    assert [scheme for scheme in opening.SCHEMES if f"`{scheme}:" not in MANUAL] == []
    assert [command.name for command in app.registered_commands if f"{command.name}" not in MANUAL] == []
