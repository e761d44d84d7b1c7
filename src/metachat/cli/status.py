"""`metachat status`."""

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from metachat.cli.client import Client
from metachat.cli.up import Data, data_folder
from metachat.foundation import settings
from metachat.foundation.errors import Refusal
from metachat.operations.local import state
from metachat.operations.local.status import Measured, Status, look


def status(
    data: Data = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Tell what runs, how well, and how much memory it takes; exits 69 when nothing runs."""
    where = data_folder(data)
    try:
        found = look(where)
    except state.NothingRuns:
        if as_json:
            print(json.dumps({"running": False, "data": str(where)}))
        raise
    open_findings = _findings(where, found)
    if as_json:
        print(json.dumps({**found.as_json(), "findings": open_findings}))
        return
    print("\n".join([_table(found), *_told(open_findings)]))


def _table(found: Status) -> str:
    sums = found.as_json()["memory"]
    return "\n".join([
        f"Address  {found.address}",
        f"Health   {'ready' if found.healthy else 'NOT READY'} ({found.health})",
        f"Data     {found.data} ({_mebibytes(found.data_bytes)})",
        "",
        f"{'process':<12} {'pid':>8} {'memory':>10} {'its share':>10} {'up':>9} {'restarts':>9}",
        *(_row(process) for process in found.processes),
        f"{'sum':<12} {'':>8} {_mebibytes(sums['rss']):>10} {_mebibytes(sums['pss']):>10}",
    ])  # fmt: skip


def _findings(data: Path, found: Status) -> list[dict[str, Any]] | None:
    """What somebody should look at, of all tenants; None when the platform cannot be asked."""
    token = settings.load({**os.environ, "METACHAT_DATA_DIR": str(data)}, process="cli").cli_token
    if not found.healthy or token is None:
        return None
    try:
        return Client(found.address, token.reveal()).call("GET", "/api/v1/operator/findings")
    except Refusal:
        return None


def _told(findings: list[dict[str, Any]] | None) -> list[str]:
    return [
        f"FOUND    {one['kind']} {one['detail'].get('channel', '')} since {one['since'][:16]};"
        f" metachat channels doctor {one['subject']} --tenant {one['tenant']}"
        for one in findings or []
    ]


def _row(process: Measured) -> str:
    pid = "restarting" if process.pid is None else str(process.pid)
    return (
        f"{process.name:<12} {pid:>8} {_mebibytes(process.rss):>10} {_mebibytes(process.pss):>10}"
        f" {process.uptime:>7.0f} s {process.restarts:>9}"
    )


def _mebibytes(count: int) -> str:
    return f"{count / 1024 / 1024:.1f} MiB"
