"""`metachat site`: the file that says what the servers should be."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from metachat.cli.asking import asked
from metachat.operations import site as sites
from metachat.operations.site import writing

WRONG = 78  # EX_CONFIG

app = typer.Typer(
    no_args_is_help=True,
    help="Write, check and show the file that says what the servers should be.",
    rich_markup_mode=None,
    add_completion=False,
)

File = Annotated[Path, typer.Option("--site", help="The site file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.command("init")
def init(
    file: File = sites.DEFAULT,
    domain: Annotated[str | None, typer.Option(help="The name that customers reach it under.")] = None,
    contact: Annotated[str | None, typer.Option(help="E-mail address for trouble.")] = None,
    address: Annotated[str | None, typer.Option(help="Where the server's SSH answers.")] = None,
    operator_key: Annotated[
        list[Path] | None, typer.Option(help="Public SSH key of a person who may enter; several times.")
    ] = None,
    issuer: Annotated[str, typer.Option(help="acme, or internal for closed networks.")] = "acme",
    server: Annotated[str, typer.Option(help="Name of the server.", show_default="from the domain")] = "",
    store: Annotated[str, typer.Option(help="Where the secrets are kept.")] = "age:secrets.age",
) -> None:
    """Write a site file for one server; asks for what no option tells.

    \b
    Examples:
      metachat site init
      metachat site init --domain chat.acme.example --contact ops@acme.example --address 203.0.113.7 \\
          --operator-key ~/.ssh/id_ed25519.pub
    """
    answers = writing.Answers(
        domain or asked("Domain of the site"), contact or asked("E-mail address for trouble"),
        address or asked("Address of the server"), server=server, issuer=issuer, store=store,
    )  # fmt: skip
    keys = operator_key or [Path(asked("Public SSH key of an operator", "~/.ssh/id_ed25519.pub"))]
    writing.init(file, replace(answers, operators=[_public_key(key) for key in keys]))
    print(f"Wrote {file}. See what it would change with: metachat provision --plan")


@app.command("check")
def check(file: File = sites.DEFAULT, as_json: AsJson = False) -> None:
    """Tell everything that is wrong with it; exit code 78 when something is."""
    _, wrong = sites.examine(file)
    if as_json:
        print(json.dumps([msgspec.to_builtins(one) for one in wrong]))
    else:
        print("\n".join(f"{one.path}: {one.problem}. {one.fix}" for one in wrong) or "Nothing is wrong.")
    if wrong:
        raise typer.Exit(WRONG)


@app.command("show")
def show(file: File = sites.DEFAULT) -> None:
    """Print the whole site as it is understood, with what the file leaves out, as JSON."""
    print(msgspec.json.format(msgspec.json.encode(sites.read(file)), indent=2).decode())


@app.command("schema")
def schema() -> None:
    """Print the JSON Schema of the file, for editors."""
    print(json.dumps(sites.schema(), indent=2))


@app.command("example")
def example() -> None:
    """Print a file with every key, to fill in."""
    print(writing.example(), end="")


def _public_key(file: Path) -> str:
    try:
        text = file.expanduser().read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{file} cannot be read: {type(error).__name__}") from error
    if "PRIVATE KEY" in text or len(text.splitlines()) != 1:
        raise typer.BadParameter(f"{file} is no public SSH key; its name usually ends in .pub")
    return text
