"""`metachat rebuild`: a site from its backups onto a bare server."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from metachat.cli.asking import asked_secret
from metachat.cli.provision import Progress, SudoPassword
from metachat.foundation import settings
from metachat.operations.backups import opening, rebuilding, signing
from metachat.operations.provisioning.arriving import Door


def rebuild(
    source: Annotated[
        str, typer.Option("--from", help="Where the backups lie: s3:bucket/prefix?endpoint=https://host")
    ],
    recovery_key: Annotated[Path, typer.Option(help="The private age key from the safe.")],
    server: Annotated[str, typer.Option(help="The bare server's address.")],
    into: Annotated[Path, typer.Option(help="Folder for the site file and its secrets.")] = Path("rebuilt"),
    name: Annotated[
        str, typer.Option(help="Which server of the site.", show_default="the one with the database")
    ] = "",
    backup: Annotated[str, typer.Option(help="This backup.", show_default="the newest")] = "",
    key: Annotated[Path, typer.Option(help="Private SSH key that opens the server.")] = Path(
        "~/.ssh/id_ed25519"
    ),
    sudo_password_file: SudoPassword = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Turn a bare Debian server into the site that was backed up, with nothing but the store and a key.

    The key of the store is read from METACHAT_BACKUP_ACCESS_KEY and METACHAT_BACKUP_SECRET_KEY, or from the
    files that they name with _FILE.
    """
    loaded = settings.load({**os.environ, "METACHAT_BACKUP_TARGET": source}, process="cli")
    data = loaded.data_dir.absolute()
    password = asked_secret("sudo password", sudo_password_file) if sudo_password_file else ""
    asked = rebuilding.Asked(
        opening.of_settings(loaded), signing.load_identity(recovery_key), server, name,
        Door(key.expanduser().absolute(), data / "known_hosts", password), into.absolute(), data, backup,
    )  # fmt: skip
    report = rebuilding.rebuild(asked, lambda line: print(line, file=sys.stderr), Progress("apply").say)
    if as_json:
        print(json.dumps(msgspec.to_builtins(report)))
        return
    for phase in report.phases:
        print(f"{phase.name:>10}  {phase.seconds:7.1f} s")
    print(
        f"{report.site} runs on {report.address} after {report.seconds:.0f} s, from backup {report.backup}."
    )
    print(f"  Newest sign of life  {report.newest}, {report.segments} segments of log")
    print(f"  Smoke                {report.answered}")
    print(f"  Site file, secrets   {into}")
    print(f"  Next                 point the domain's DNS at {report.address}")
