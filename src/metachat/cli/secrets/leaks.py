"""`metachat secrets scan`: find secrets that lie open in files and in their history."""

import json
from pathlib import Path
from typing import Annotated

import typer

from metachat.operations import leaks

_BASELINE = ".leaks-baseline.json"
_EXAMPLES = """
\b
Examples:
  metachat secrets scan
  metachat secrets scan ../shop --history
  metachat secrets scan --history --sarif > leaks.sarif
  metachat secrets scan --history --write-baseline    accept what is found now
"""
_Path = Annotated[Path, typer.Argument(help="A file, a folder or a repository.")]
_History = Annotated[bool, typer.Option("--history", help="Look through every commit too.")]
_Json = Annotated[bool, typer.Option("--json", help="Findings as JSON.")]
_Sarif = Annotated[bool, typer.Option("--sarif", help="Findings as a SARIF log.")]
_Known = Annotated[
    Path | None, typer.Option("--baseline", help=f"Accepted findings; {_BASELINE} in PATH unless told.")
]
_Write = Annotated[bool, typer.Option("--write-baseline", help="Accept all findings from now on.")]


def scan(
    path: _Path = Path("."), history: _History = False, json_: _Json = False, sarif: _Sarif = False,
    baseline: _Known = None, write_baseline: _Write = False,
) -> None:  # fmt: skip
    """Find secrets that lie open; exit code 1 when there are any. Values are never shown."""
    file = baseline or path / _BASELINE
    known = leaks.read_baseline(file) if baseline or (file.is_file() and not write_baseline) else set()
    found = leaks.scan(path, "history" if history else "tree", set() if write_baseline else known)
    if write_baseline:
        leaks.write_baseline(file, found)
        typer.echo(f"{len({leak.fingerprint for leak in found})} findings accepted in {file}")
        return
    if json_ or sarif:
        typer.echo(json.dumps(leaks.as_sarif(found) if sarif else leaks.as_json(found), indent=2))
    else:
        _tell(found)
    if found:
        raise typer.Exit(1)


scan.__doc__ = f"{scan.__doc__}\n{_EXAMPLES}"


def _tell(found: list[leaks.Leak]) -> None:
    for leak in found:
        name = f" ({leak.name})" if leak.name else ""
        typer.echo(f"{leak.place}: {leak.rule}{name}")
    if found:
        typer.echo(
            f"\n{len(found)} findings. Whoever could read these files or commits may know the secrets: make"
            " new ones (metachat secrets rotate), then take the old ones out of the files. Accept what is no"
            " secret with --write-baseline."
        )
    else:
        typer.echo("Nothing found.")
