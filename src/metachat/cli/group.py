"""The commands by name; a command's module is imported only when it is chosen."""

import importlib
from dataclasses import dataclass
from typing import Any

import typer
from typer._click import Command, Context, HelpFormatter
from typer.core import TyperGroup
from typing_extensions import override


@dataclass(frozen=True, slots=True)
class Entry:
    """A command: where it lives, and its line in `metachat --help`."""

    module: str
    attribute: str
    sentence: str
    hidden: bool = False


COMMANDS: dict[str, Entry] = {
    "up": Entry("up", "up", "Start everything: database, api processes and worker; Ctrl-C stops them."),
    "down": Entry("up", "down", "Stop what `metachat up` started."),
    "status": Entry("status", "status", "Tell what runs, how well, and how much memory it takes."),
    "ask": Entry("ask", "ask", "Ask the assistant a question; answers with its citations."),
    "knowledge": Entry("knowledge", "app", "List, add and remove documents."),
    "channels": Entry("channels", "app", "Open, test and look after channels."),
    "simulate": Entry("simulate", "simulate", "Be Meta, with phones: try WhatsApp without an account."),
    "tenants": Entry("accounts", "tenants", "Create tenants."),
    "keys": Entry("accounts", "keys", "Create API keys."),
    "user": Entry("accounts", "user", "Create members and reset their passwords."),
    "jobs": Entry("jobs", "app", "See what waits, and run again what failed."),
    "config": Entry("config", "run", "Check, show and explain the configuration."),
    "secrets": Entry("secrets", "app", "Keep, check and hand out the platform's own secrets."),
    "backup": Entry("backup", "app", "Make, list, check and remove backups."),
    "restore": Entry("restore", "restore", "Bring a backup back, beside what is there or in its place."),
    "rebuild": Entry("rebuild", "rebuild", "Bring the site back from its backups, on a bare server."),
    "data": Entry("data", "app", "Export everything into one file, and import it elsewhere."),
    "site": Entry("site", "app", "Write, check and show the file that says what the servers should be."),
    "provision": Entry("provision", "provision", "Bring the site's servers to their state."),
    "drift": Entry("drift", "drift", "Compare the site's servers with the site file and the code."),
    "watch": Entry("watch", "watch", "Watch the site from outside, and tell people when it is down."),
    "uptime": Entry("watch", "uptime", "Tell how much of the time the site was up, with evidence."),
    "alerts": Entry("alerts", "app", "Choose who hears of alerts, and try whether they do."),
    "migrate": Entry("migrate", "migrate", "Bring the database to this version."),
    "api": Entry("api", "api", "Run one api process."),
    "worker": Entry("worker", "worker", "Run one worker."),
    "static-files": Entry("static_files", "static_files", "Lay out files for a proxy.", hidden=True),
    "demo-seed": Entry("demo", "seed", "Fill the demo shop.", hidden=True),
}


class LazyGroup(TyperGroup):
    """A group that knows its commands' names and sentences without importing them."""

    @override
    def list_commands(self, ctx: Context) -> list[str]:
        """List the commands in the order in which a newcomer needs them."""
        return list(COMMANDS)

    @override
    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        """Import the module of the chosen command."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        found = getattr(importlib.import_module(f"metachat.cli.{entry.module}"), entry.attribute)
        command = typer.main.get_command(found if isinstance(found, typer.Typer) else _app_of(found))
        command.name = cmd_name
        return command

    @override
    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the commands' sentences from the table above."""
        with formatter.section("Commands"):
            rows = [(name, entry.sentence) for name, entry in COMMANDS.items() if not entry.hidden]
            formatter.write_dl(rows)


def _app_of(function: Any) -> typer.Typer:
    only = typer.Typer(add_completion=False, rich_markup_mode=None)
    only.command()(function)
    return only


app = typer.Typer(
    cls=LazyGroup, name="metachat", no_args_is_help=True, add_completion=False,
    # Plain help and plain errors: importing rich takes longer than everything else together.
    rich_markup_mode=None, pretty_exceptions_enable=False,
)  # fmt: skip


@app.callback()
def metachat() -> None:
    """Grounded, cited answers for a company's customers."""
