"""`metachat secrets recipients`: who can open the age file."""

from typing import Annotated

import typer

from metachat.cli.secrets import here
from metachat.cli.secrets.here import AsJson
from metachat.operations import journal
from metachat.operations.secrets import StoreReadOnly
from metachat.operations.secrets.stores.age import AgeStore

app = typer.Typer(
    no_args_is_help=True, help="Say who can open the age file.", rich_markup_mode=None, add_completion=False
)

Label = Annotated[str, typer.Argument(help="What the key is called here: server, recovery, laptop.")]


@app.command("list")
def list_recipients(as_json: AsJson = False) -> None:
    """List the recipients.

    \b
    Examples:
      metachat secrets recipients list
    """
    found = dict(_store().recipients())
    here.show(found, as_json, lambda: here.table([[label, key] for label, key in sorted(found.items())]))


@app.command("add")
def add(
    label: Label,
    key: Annotated[str, typer.Argument(help="Its public age key: age1...")],
    as_json: AsJson = False,
) -> None:
    """Let another key open the file; every value is encrypted anew.

    \b
    Examples:
      metachat secrets recipients add laptop age1...
    """
    with journal.recorded(here.place().data_dir, "secrets.recipients.add", label):
        _store().add_recipient(label, key)
    here.show({"added": label}, as_json, lambda: print(f"{label} can open it from now on."))


@app.command("remove")
def remove(label: Label, as_json: AsJson = False) -> None:
    """Shut a key out of later versions; what it could read before should be rotated.

    \b
    Examples:
      metachat secrets recipients remove laptop
    """
    with journal.recorded(here.place().data_dir, "secrets.recipients.remove", label):
        _store().remove_recipient(label)
    words = f"{label} opens no later version. It had the values: rotate them if it is not trusted any more."
    here.show({"removed": label}, as_json, lambda: print(words))


def _store() -> AgeStore:
    store = here.store()
    if not isinstance(store, AgeStore):
        raise StoreReadOnly(f"{store.address} has no recipients.", "Say there who may read it.")
    return store
