"""`metachat drift`: compare the servers with the site file and the code."""

import json
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from metachat.cli.provision import File, Key, Progress, Server, SudoPassword, _chosen
from metachat.foundation.settings import data_dir
from metachat.operations import site as sites
from metachat.operations.drift.model import Finding

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Here = Annotated[bool, typer.Option("--self", help="On a server: compare it with what was left here.")]
Accept = Annotated[
    str, typer.Option(help="Make this difference part of its server's background, as it is written below.")
]


def drift(
    server: Server = None, site: File = sites.DEFAULT, key: Key = Path("~/.ssh/id_ed25519"),
    sudo_password_file: SudoPassword = None, here: Here = False, accept: Accept = "", as_json: AsJson = False,
) -> None:  # fmt: skip
    """Tell what differs between the servers and the code, additions included; exits 1 when something does.

    \b
    Examples:
      metachat drift
      metachat drift --server chat --json
      metachat drift --accept 'package htop'
    """
    found = _here() if here else _there(site, server, key, sudo_password_file, accept)
    if as_json:
        rows = [
            {"server": name, "findings": msgspec.to_builtins(findings)} for name, findings in found.items()
        ]
        print(json.dumps({"findings": sum(len(one) for one in found.values()), "servers": rows}))
    else:
        print("\n".join(line for name, findings in found.items() for line in _lines(name, findings)))
    if any(found.values()):
        raise typer.Exit(1)


def _here() -> dict[str, list[Finding]]:
    from metachat.operations.drift import selfcheck

    return {"this server": selfcheck.check(data_dir().absolute())}


def _there(
    site: Path, server: str | None, key: Path, sudo_password_file: Path | None, accept: str
) -> dict[str, list[Finding]]:
    from metachat.cli.asking import asked_secret
    from metachat.operations.drift import looking
    from metachat.operations.provisioning import furnishing, running
    from metachat.operations.provisioning.arriving import Door
    from metachat.operations.secrets.making import Wanted

    told = sites.read(site)
    data = data_dir().absolute()
    where = furnishing.place(told, site.absolute().parent, data)
    password = asked_secret("sudo password", sudo_password_file) if sudo_password_file else ""
    door = Door(key.expanduser().absolute(), data / "known_hosts", password)
    secrets = furnishing.secrets_for(told, where, "plan", Wanted(""))
    means = running.Means(door, secrets, data)
    reports = looking.look(told, _chosen(told, server), means, Progress("drift").say)
    if accept:
        taken = looking.accept(data, reports[0], accept)
        reports = [
            looking.Report(server=one.server, findings=[each for each in one.findings if each != taken])
            for one in reports
        ]
    return {one.server: one.findings for one in reports}


def _lines(name: str, findings: list[Finding]) -> list[str]:
    if not findings:
        return [f"{name}: as the site file and the code say."]
    count = f"{len(findings)} difference{'s' if len(findings) > 1 else ''}"
    return [f"{name}: {count}", *(f"  {one.sentence}\n      {one.fix}" for one in findings)]
