"""Verbs for one secret. A value comes from a prompt, a file or standard input, never from an argument."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from metachat.cli.secrets import here
from metachat.cli.secrets.here import AsJson, Name
from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.settings import Secret
from metachat.operations import journal
from metachat.operations.secrets import files, known


class OnTerminal(Refusal):
    """The value would stand on this terminal, and stay in its scrollback; add --reveal to see it there."""

    code, kind = "on_terminal", Kind.INVALID


def set_secret(
    name: Name,
    from_file: Annotated[
        Path | None,
        typer.Option(help="Read the value from this file.", show_default="prompt, or standard input"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Keep a value that somebody else issued; asks for it, or reads standard input or a file.

    \b
    Examples:
      metachat secrets set smtp_password
      metachat secrets set embedder_key --from-file /root/key.txt
      pass show openai | metachat secrets set embedder_key
    """
    place = here.place()
    with journal.recorded(place.data_dir, "secrets.set", name):
        known.find(name)
        value = Secret(_value(name, from_file))
        known.check(name, value, here.mode())
        here.store().put(name, value)
    here.show(
        {"name": name, "set": True}, as_json, lambda: print(f"{name} is kept in {here.store().address}.")
    )


def get_secret(
    name: Name,
    reveal: Annotated[bool, typer.Option("--reveal", help="Print it on a terminal too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print a value, for a program that reads it; the journal notes who asked.

    \b
    Examples:
      metachat secrets get database_url | some-program --read-stdin
      metachat secrets get smtp_password --reveal
    """
    with journal.recorded(here.place().data_dir, "secrets.get", name):
        if sys.stdout.isatty() and not reveal:
            raise OnTerminal(name)
        value = here.store().get(name)
    here.show({"name": name, "value": value.reveal()}, as_json, lambda: print(value.reveal()))


def delete_secret(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Forget a secret.

    \b
    Examples:
      metachat secrets delete embedder_key
    """
    if not yes:
        typer.confirm(f"Delete {name} from {here.store().address}?", abort=True)
    with journal.recorded(here.place().data_dir, "secrets.delete", name):
        here.store().delete(name)
    here.show({"name": name, "deleted": True}, as_json, lambda: print(f"{name} is deleted."))


def _value(name: str, from_file: Path | None) -> str:
    if from_file is not None:
        return files.read_text(from_file).rstrip("\r\n")
    if sys.stdin.isatty():
        return str(typer.prompt(f"Value of {name}", hide_input=True, confirmation_prompt=True))
    return sys.stdin.read(1 << 16).rstrip("\r\n")
