"""What all verbs of `metachat secrets` share: where the secrets are, and how results are printed."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

import typer

from metachat.foundation.settings import Mode
from metachat.operations.secrets import Place, Store, open_store, place_of

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Name = Annotated[str, typer.Argument(help="The secret, as its setting is named: session_secret.")]

EXAMPLES = "age:/etc/metachat/secrets.age, vault:https://host:8200/mount/path, ..."


def place(address: str | None = None) -> Place:
    """Where the settings say that the secrets are, or the same machine's view of another address."""
    told = place_of(dict(os.environ))
    return told if address is None else replace(told, address=address)


def store(address: str | None = None) -> Store:
    """Open the store that the settings name, or another one."""
    return open_store(place(address))


def mode() -> Mode:
    """Whether values are judged as in production."""
    return "production" if place().production else "development"


def show(result: Any, as_json: bool, say: Callable[[], None]) -> None:
    """Print a result as JSON, or in words."""
    if as_json:
        print(json.dumps(result, ensure_ascii=False, default=str))
    else:
        say()


def table(rows: list[list[str]]) -> None:
    """Print rows in columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
