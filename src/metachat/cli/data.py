"""`metachat data`: everything into one encrypted file, and from it into another version of Postgres."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from metachat.cli.bar import Bar
from metachat.cli.secrets.here import AsJson, show
from metachat.cli.up import Data, data_folder
from metachat.foundation import settings
from metachat.foundation.errors import Invalid
from metachat.operations import journal
from metachat.operations.backups import installation, signing
from metachat.operations.backups.logical import exporting, form, importing, moving
from metachat.operations.secrets import place_of

app = typer.Typer(
    no_args_is_help=True, help="Export everything into one file, and import it elsewhere.",
    rich_markup_mode=None, add_completion=False,
)  # fmt: skip

Address = Annotated[
    str,
    typer.Option(
        "--database", show_default="this data folder's own",
        help="Another Postgres, as its superuser: postgresql:///metachat?host=/var/run/postgresql",
    ),
]  # fmt: skip
Recipient = Annotated[
    list[str] | None, typer.Option(help="A public age key that opens it, besides those of the backups.")
]
Identity = Annotated[
    Path | None, typer.Option(help="The key that opens it.", show_default="this installation's")
]


class PasswordShown(Invalid):
    """An address with a password would be read by everybody on this machine."""

    code = "password_shown"


@app.command("export")
def export_data(
    file: Path, recipient: Recipient = None, database: Address = "",
    data: Data = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Write every row, document and secret into one file, encrypted for whoever opens the backups."""
    where, loaded, environ = _here(data)
    own = signing.ensure_identity(where)
    readers = installation.readers([loaded.backup_recipients, *(recipient or [])], own)
    with (
        journal.recorded(where, "data.export", str(file)),
        _postgres(where, database) as address,
        Bar() as told,
    ):
        source = exporting.From(address, place_of(environ), where / "blobs")
        tail = exporting.export(source, file.absolute(), readers, told)
    _tell("Exported", tail, file, as_json)


@app.command("import")
def import_data(
    file: Path, identity: Identity = None, database: Address = "", data: Data = None, as_json: AsJson = False
) -> None:  # fmt: skip
    """Fill an empty installation from an export; what is not empty is left alone.

    \b
    Examples:
      metachat data import all.export --data /srv/new --identity recovery.key
      metachat data import all.export --database 'postgresql:///metachat?host=/var/run/postgresql'
    """
    where, _, _ = _here(data)
    export = importing.Export(file.absolute(), signing.load_identity(identity or where / signing.FILE))
    with Bar() as told:
        if database:
            _without_password(database)
            tail = importing.import_into(database, where / "blobs", export, told)
        else:
            tail = moving.into_folder(where, export, told)
    journal.record(where, "data.import", str(file))
    _tell("Imported", tail, file, as_json)


def _here(data: Path | None) -> tuple[Path, settings.Settings, dict[str, str]]:
    where = data_folder(data)
    environ = {**os.environ, "METACHAT_DATA_DIR": str(where)}
    return where, settings.load(environ, process="cli"), environ


@contextlib.contextmanager
def _postgres(where: Path, database: str) -> Iterator[str]:
    if database:
        _without_password(database)
        yield database
        return
    with moving.running(where) as address:
        yield address


def _without_password(address: str) -> None:
    if urlsplit(address).password:
        raise PasswordShown("Leave it out, and put it into a file that PGPASSFILE names.")


def _tell(verb: str, tail: form.Tail, file: Path, as_json: bool) -> None:
    rows = sum(one.rows for one in tail.tables.values())
    result = {"file": file, "rows": rows, "tables": len(tail.tables), "documents": tail.documents}
    words = f"{verb} {rows:,} rows of {len(tail.tables)} tables and {tail.documents} documents: {file}"
    show(result, as_json, lambda: print(words))
