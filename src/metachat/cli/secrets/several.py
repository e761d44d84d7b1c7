"""Verbs for all secrets at once."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from metachat.cli.secrets import here
from metachat.cli.secrets.here import AsJson
from metachat.foundation import clock
from metachat.operations import journal
from metachat.operations.secrets import StoreRefusal, editing, escrow, handing, making, moving
from metachat.operations.secrets.contract import Described, read_all


def generate(
    database: Annotated[
        str,
        typer.Option(help="HOST[:PORT]/NAME of your own Postgres.", show_default="none: `up` brings its own"),
    ] = "",
    recovery: Annotated[str, typer.Option(help="Public age key of the safe, for a new age file.")] = "",
    recovery_file: Annotated[
        Path | None, typer.Option(help="Make that key instead, into this file; take it away.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make every secret that a new installation needs; what is there is kept.

    \b
    Examples:
      metachat secrets generate
      METACHAT_SECRETS_STORE=age:/etc/metachat/secrets.age \\
          metachat secrets generate --recovery age1... --database localhost/metachat
    """
    with journal.recorded(here.place().data_dir, "secrets.generate"):
        done = making.generate(here.store(), making.Wanted(database, recovery, recovery_file))

    def say() -> None:
        print(f"Made: {', '.join(done.made) or 'nothing'}.")
        if done.kept:
            print(f"Kept as they were: {', '.join(done.kept)}.")
        for file in done.files:
            print(f"Private key in {file}" + (": take it to the safe." if file == recovery_file else "."))

    here.show({"made": done.made, "kept": done.kept, "files": done.files}, as_json, say)


def list_secrets(as_json: AsJson = False) -> None:
    """List the secrets: name, age, length, and the first digits of a key's fingerprint; no values.

    \b
    Examples:
      metachat secrets list
      metachat secrets list --json
    """
    store = here.store()
    found = [
        _row(store.describe(name), len(value.reveal()), escrow.shown_fingerprint(name, value))
        for name, value in read_all(store).items()
    ]

    def say() -> None:
        if not found:
            print(f"{store.address} is empty. Fill it with: metachat secrets generate")
            return
        rows = [
            [row["name"], _age(row["days"]), str(row["length"]), row["fingerprint"] or "-"] for row in found
        ]
        here.table([["name", "age", "length", "fingerprint"], *rows])

    here.show(found, as_json, say)


def edit(as_json: AsJson = False) -> None:
    """Edit all secrets with $EDITOR: in memory, validated before they are saved, overwritten afterwards.

    \b
    Examples:
      metachat secrets edit
      EDITOR="code --wait" metachat secrets edit
    """

    def again(refusal: StoreRefusal) -> bool:
        print(refusal.found, refusal.fix, sep="\n")
        return typer.confirm("Edit again?", default=True)

    with journal.recorded(here.place().data_dir, "secrets.edit"):
        changed = editing.edit(here.store(), here.mode(), editing.chosen_editor(os.environ), again)
    here.show({"changed": changed}, as_json, lambda: print(f"Changed: {', '.join(changed) or 'nothing'}."))


def import_secrets(
    env_file: Annotated[Path, typer.Option(help="A file of METACHAT_NAME=value lines.", exists=True)],
    as_json: AsJson = False,
) -> None:
    """Take the secrets out of an env file into the store; other settings, and what is there, stay.

    \b
    Examples:
      metachat secrets import --env-file apps/api/.env.production
    """
    with journal.recorded(here.place().data_dir, "secrets.import", str(env_file)):
        done = moving.take(env_file, here.store(), here.mode())
    fate = {"imported": "Imported", "same": "There already", "kept": "Another value is there, and was kept",
            "unfit": "Refused", "other": "No secrets"}  # fmt: skip

    def say() -> None:
        for key, words in fate.items():
            names = [name for name, told in done.items() if told.startswith(key)]
            if names:
                print(f"{words}: {', '.join(names)}.")
        print(f"Now take them out of {env_file}, and out of its Git history if it was ever committed.")

    here.show(done, as_json, say)


def export(
    to: Annotated[str, typer.Option(help=f"The other store: {here.EXAMPLES}")], as_json: AsJson = False
) -> None:
    """Copy every secret into another store; what is there is kept, and each copy is read back.

    \b
    Examples:
      metachat secrets export --to vault:https://vault.internal:8200/secret/metachat?token_file=/root/token
    """
    with journal.recorded(here.place().data_dir, "secrets.export", to.partition("?")[0]):
        done = moving.copy(here.store(), here.store(to))

    def say() -> None:
        for name, told in done.items():
            print(f"{told:<9} {name}")

    here.show(done, as_json, say)


def hand(
    to: Annotated[
        Path | None, typer.Option(help="A folder in memory.", show_default="one in /dev/shm")
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Take the files away again.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the secrets as files of mode 600 in memory, for processes with CREDENTIALS_DIRECTORY there.

    \b
    Examples:
      metachat secrets hand --to /run/metachat/secrets
      metachat secrets hand --clear
    """
    place = here.place()
    folder = to or handing.default_folder(place.data_dir)
    with journal.recorded(place.data_dir, "secrets.hand", str(folder)):
        if clear:
            handing.clear(folder)
        else:
            handing.write(read_all(here.store()), folder)
    here.show({"folder": folder}, as_json, lambda: print(folder))


def _row(described: Described, length: int, fingerprint: str) -> dict[str, Any]:
    days = None if described.made_at is None else (clock.now() - described.made_at).days
    return {
        "name": described.name, "made_at": described.made_at, "days": days, "length": length,
        "fingerprint": fingerprint[:8],
    }  # fmt: skip


def _age(days: int | None) -> str:
    return "unknown" if days is None else "today" if days == 0 else f"{days} d"
