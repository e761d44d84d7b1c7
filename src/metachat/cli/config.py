"""`metachat config`: check, show and explain the configuration, without starting anything."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from metachat.foundation.settings import Process
from metachat.operations.config import check as checking
from metachat.operations.config import explain as explaining

app = typer.Typer(
    no_args_is_help=True, help="Check, show and explain the configuration.", rich_markup_mode=None,
    add_completion=False,
)  # fmt: skip

EnvFile = Annotated[
    Path | None,
    typer.Option("--env-file", help="Look at this file and nothing else.", show_default="the environment"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

_WRONG = 78  # EX_CONFIG


@app.command("check")
def check(
    env_file: EnvFile = None,
    production: Annotated[
        bool, typer.Option("--production", help="Apply the rules of production, whatever is configured.")
    ] = False,
    as_json: AsJson = False,
    reach: Annotated[
        bool, typer.Option("--reach", help="Also open each service, for 3 seconds at most.")
    ] = False,
    process: Annotated[
        Process | None,
        typer.Option(help="What this process reads and needs.", show_default="all that is given"),
    ] = None,
) -> None:
    """Tell everything that is wrong; exits 78 when something is, 0 otherwise.

    \b
    Examples:
      metachat config check
      metachat config check --env-file production.env --production --json
      metachat config check --reach --process worker
    """
    checked = checking.check(env_file, process, "production" if production else None)
    problems = checked.examined.problems
    if reach:
        from metachat.operations.config.reach import reach as reached

        problems = [*problems, *reached(checked.examined.values, process)]
    if as_json:
        print(checking.as_json(problems))
    elif problems:
        print(checking.as_text(problems), file=sys.stderr)
    else:
        print(checking.summary(checked))
    if problems:
        raise typer.Exit(_WRONG)


@app.command("show")
def show(env_file: EnvFile = None, as_json: AsJson = False) -> None:
    """Print the configuration in effect and where each value comes from; secrets as dots."""
    from metachat.operations.config import show as showing

    shown = showing.show(env_file)
    print(showing.as_json(shown) if as_json else showing.as_text(shown))


@app.command("explain")
def explain(name: Annotated[str, typer.Argument(help="A setting, with or without METACHAT_.")]) -> None:
    """Tell all about one setting.

    \b
    Examples:
      metachat config explain METACHAT_PUBLIC_URL
      metachat config explain session_secret
    """
    print(explaining.explain(name))


@app.command("schema")
def schema() -> None:
    """Print the JSON Schema of all settings."""
    from metachat.operations.config import pages

    print(pages.schema(), end="")


@app.command("example")
def example() -> None:
    """Print a file with all settings, to fill in."""
    from metachat.operations.config import pages

    print(pages.example(), end="")


@app.command("fix-permissions")
def fix_permissions(env_file: EnvFile = None, as_json: AsJson = False) -> None:
    """Make files with secrets readable for their owner only (mode 600)."""
    from metachat.operations.config import permissions

    changed = [str(path) for path in permissions.fix(env_file)]
    if as_json:
        print(json.dumps({"changed": changed}))
    elif changed:
        print("\n".join(f"{path}: mode 600 now" for path in changed))
    else:
        print("All are readable for their owner only.")
