"""`metachat provision`: bring servers to the state that the site file describes."""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from metachat.cli.asking import asked_secret
from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.settings import data_dir
from metachat.operations import site as sites
from metachat.operations.provisioning import furnishing, running
from metachat.operations.provisioning.arriving import Door
from metachat.operations.provisioning.order import Begun, Mode, Step, Told
from metachat.operations.secrets.making import Wanted

_INTERRUPTED = 130

Plan = Annotated[bool, typer.Option("--plan", help="Print what would change, and change nothing.")]
Server = Annotated[str | None, typer.Option("--server", help="This server alone, by its name.")]
File = Annotated[Path, typer.Option("--site", help="The site file.")]
Key = Annotated[Path, typer.Option("--key", help="Private SSH key that opens the servers.")]
SudoPassword = Annotated[
    Path | None, typer.Option(help="File with the password that sudo asks for; - for standard input.")
]
Recovery = Annotated[str, typer.Option(help="Public age key of the safe, for a new file of secrets.")]
RecoveryFile = Annotated[
    Path | None, typer.Option(help="Make that key instead, into this file; take it away.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


class NoSuchServer(Refusal):
    """The site has no server of this name."""

    code, kind = "no_such_server", Kind.NOT_FOUND


def provision(
    plan: Plan = False, server: Server = None, site: File = sites.DEFAULT,
    key: Key = Path("~/.ssh/id_ed25519"), sudo_password_file: SudoPassword = None,
    recovery: Recovery = "", recovery_file: RecoveryFile = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Bring the site's servers to their state; what is right already is left alone.

    \b
    Examples:
      metachat provision --plan
      metachat provision --recovery-file recovery.key     the first time: makes the secrets too
      metachat provision --server chat --key ~/.ssh/acme
    """
    told = sites.read(site)
    mode: Mode = "plan" if plan else "apply"
    data = data_dir().absolute()
    where = furnishing.place(told, site.absolute().parent, data)
    password = asked_secret("sudo password", sudo_password_file) if sudo_password_file else ""
    door = Door(key.expanduser().absolute(), data / "known_hosts", password)
    progress = Progress(mode)
    with _interruptible(progress):
        secrets = furnishing.secrets_for(told, where, mode, Wanted("", recovery, recovery_file))
        means = running.Means(door, secrets, data)
        visits = running.provision(told, _chosen(told, server), mode, means, progress.say)
    _tell(visits, mode, as_json)


class Progress:
    """Tells what happens, on standard error; remembers it for whoever interrupts."""

    def __init__(self, mode: Mode) -> None:
        """Begin with nothing done."""
        self.mode = mode
        self.steps = 0
        self.changes = 0

    def say(self, server: str, told: Told) -> None:
        """Write a line for what takes time or changes something."""
        if isinstance(told, Begun) and sys.stderr.isatty():
            print(f"\r\033[K  {server}: {told.name} ...", end="", file=sys.stderr, flush=True)
        if isinstance(told, Step):
            self.steps += 1
            self.changes += told.change
            if told.change:
                clear = "\r\033[K" if sys.stderr.isatty() else ""
                mark = "~" if self.mode == "plan" else "*"
                print(f"{clear}{mark} {server}: {told.name}", file=sys.stderr, flush=True)


@contextmanager
def _interruptible(progress: Progress) -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into a sentence that says how far it got."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        done = f"{progress.steps} steps were done, {progress.changes} of them changed something"
        print(f"\nmetachat: Interrupted; {done}. Run the same command again to go on.", file=sys.stderr)
        raise typer.Exit(_INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _chosen(told: sites.Site, name: str | None) -> list[sites.Server]:
    chosen = [one for one in told.servers if name in (None, one.name)]
    if not chosen:
        raise NoSuchServer(f"{name}; there are: {', '.join(one.name for one in told.servers)}")
    return chosen


def _tell(visits: list[running.Visit], mode: Mode, as_json: bool) -> None:
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    if as_json:
        rows = [{"server": one.server, "steps": one.steps, "changed": one.changed} for one in visits]
        print(json.dumps({"mode": mode, "servers": rows}))
        return
    for one in visits:
        verb = "would change" if mode == "plan" else "changed"
        print(f"{one.server}: {len(one.changed)} of {one.steps} steps {verb} something.")
        print("".join(f"  {name}\n" for name in one.changed), end="")
    if not any(one.changed for one in visits):
        print("0 changes: the servers are as the site file says.")
