"""`metachat backup`: make, list, check and remove backups, and try to restore one."""

import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from metachat.cli.bar import Bar
from metachat.cli.secrets.here import AsJson, show, table
from metachat.cli.up import Data, data_folder
from metachat.foundation import settings
from metachat.foundation.settings import Settings
from metachat.operations import site as sites
from metachat.operations.backups import drilling, installation, keeping, looking, pruning, rebuilding, taking
from metachat.operations.findings import Finding

app = typer.Typer(
    no_args_is_help=True, help="Make, list, check and remove backups, and try to restore one.",
    rich_markup_mode=None, add_completion=False,
)  # fmt: skip

BAD = 1


def here(data: Data) -> tuple[installation.Installation, Settings]:
    """The installation that the settings and --data name."""
    environ = {**os.environ, "METACHAT_DATA_DIR": str(data_folder(data))}
    loaded = settings.load(environ, process="cli")
    return installation.find(loaded, environ), loaded


@app.command()
def now(data: Data = None, as_json: AsJson = False) -> None:
    """Make a full backup now, of database, documents, secrets and small files."""
    found, _ = here(data)
    with Bar() as told:
        made = taking.and_remember(found, told)
    seconds = (made.ended_at - made.began_at).total_seconds()
    result = {
        "id": made.id, "bytes": made.stored, "documents": made.document_count, "seconds": seconds,
        "target": found.target.address,
    }  # fmt: skip
    show(
        result, as_json,
        lambda: print(
            f"Backup {made.id}: {made.stored:,} bytes in {seconds:.1f} s, {made.document_count} documents."
        ),
    )  # fmt: skip


@app.command()
def archive(data: Data = None) -> None:
    """Keep the log coming until told to stop: what a server runs beside its timers for the rest."""
    where = data_folder(data)
    environ = {**os.environ, "METACHAT_DATA_DIR": str(where)}
    keeping.log_of_settings(settings.load(environ, process="cli"), environ, print)


@app.command("list")
def list_backups(data: Data = None, as_json: AsJson = False) -> None:
    """List the backups, the newest first."""
    found, _ = here(data)
    listed = list(looking.backups(found.target))
    rows = [["id", "bytes", "documents", "release", "site"], *map(_row, listed)]
    plain = [{"id": one.id, "trouble": one.trouble, **_facts(one)} for one in listed]
    show(plain, as_json, lambda: table(rows))


@app.command()
def verify(
    backup: Annotated[str, typer.Argument(help="Which one.", show_default="the newest")] = "",
    data: Data = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Read every piece of a backup back and check it; exits 1 when one is wrong."""
    found, _ = here(data)
    with Bar() as told:
        findings = looking.verify(found, backup, told)
    _findings(findings, as_json, lambda: {"findings": _plain(findings)})


@app.command()
def prune(
    keep: Annotated[
        str | None, typer.Option(help="As METACHAT_BACKUP_KEEP.", show_default="the setting")
    ] = None,
    data: Data = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Remove the backups that are not to stay, and the log and documents that none needs any more."""
    found, loaded = here(data)
    pruned = pruning.prune(found, pruning.Keep.of(keep or loaded.backup_keep))
    show(
        msgspec.to_builtins(pruned), as_json,
        lambda: print(
            f"Removed {len(pruned.backups)} backups, {pruned.segments} segments of log,"
            f" {pruned.documents} pieces of documents; {len(pruned.kept)} backups stay."
        ),
    )  # fmt: skip


@app.command()
def drill(data: Data = None, as_json: AsJson = False) -> None:
    """Restore the newest state beside production, prove it, and throw it away; exits 1 when it fails."""
    found, _ = here(data)
    with Bar() as told:
        record = drilling.drill(found, told)

    def say() -> None:
        for one in record.checks:
            print(f"{'ok  ' if one.passed else 'BAD '}  {one.name}: {one.found}")
        for phase in record.phases:
            print(f"      {phase.name}: {phase.seconds:.1f} s")
        print(
            f"{record.verdict}: an answer after {record.rto:.1f} s (RTO), {record.rpo} s lost at most (RPO)"
        )

    show(msgspec.to_builtins(record), as_json, say)
    if record.verdict != drilling.PASSED:
        raise typer.Exit(BAD)


@app.command()
def status(data: Data = None, as_json: AsJson = False) -> None:
    """Tell how backups stand; exits 1 when something is to be done."""
    found, loaded = here(data)
    drills = timedelta(days=loaded.drill_days) if loaded.drill_days else None
    told = looking.status(found, timedelta(hours=loaded.backup_hours), drills)
    _findings(
        list(told.findings), as_json,
        lambda: {
            "backlog": told.backlog, "findings": _plain(told.findings), **msgspec.to_builtins(told.memory)
        },
    )  # fmt: skip


@app.command("export-runbook")
def export_runbook(
    site: Annotated[Path | None, typer.Option(help="The site file, to fill in what this site needs.")] = None,
) -> None:
    """Print the page for the safe: how the site is rebuilt from nothing."""
    print(rebuilding.runbook(None if site is None else sites.read(site)))


def _findings(findings: list[Finding], as_json: bool, result: Callable[[], Any]) -> None:
    if as_json:
        print(json.dumps(result(), default=str))
    else:
        for one in findings:
            print(f"{'ok  ' if one.passed else 'BAD '}  {one.name}: {one.found}")
            if one.fix:
                print(f"      {one.fix}")
    if not all(one.passed for one in findings):
        raise typer.Exit(BAD)


def _plain(findings: Any) -> list[dict[str, Any]]:
    return [msgspec.to_builtins(one) for one in findings]


def _facts(one: looking.Listed) -> dict[str, Any]:
    of = one.manifest
    if of is None:
        return {}
    return {
        "began_at": of.began_at, "ended_at": of.ended_at, "bytes": of.stored, "documents": of.document_count,
        "release": of.release, "site": of.site, "postgres": of.postgres,
    }  # fmt: skip


def _row(one: looking.Listed) -> list[str]:
    of = one.manifest
    if of is None:
        return [one.id, "DAMAGED", "", "", one.trouble]
    return [one.id, f"{of.stored:,}", str(of.document_count), of.release, of.site]
