"""`metachat secrets escrow`: the bundle for the safe."""

from pathlib import Path
from typing import Annotated, Any

import typer

from metachat.cli.secrets import here
from metachat.cli.secrets.here import AsJson
from metachat.foundation import clock
from metachat.foundation.settings import Secret
from metachat.operations import age, journal
from metachat.operations.secrets import UnfitValue, files, identities
from metachat.operations.secrets import escrow as bundles
from metachat.operations.secrets.doctor import ESCROW
from metachat.operations.secrets.stores.age import RECOVERY, AgeStore


def escrow(
    out: Annotated[
        Path | None, typer.Option(help="Where to write it.", show_default="metachat-escrow-DATE.age")
    ] = None,
    recipient: Annotated[
        str,
        typer.Option(help="Public age key of the safe.", show_default="the age file's recovery recipient"),
    ] = "",
    identity: Annotated[
        Path | None, typer.Option(help="The safe's private key: opens a bundle, or verifies a new one.")
    ] = None,
    passphrase: Annotated[
        bool, typer.Option("--passphrase", help="Use a passphrase in place of a key.")
    ] = False,
    passphrase_file: Annotated[Path | None, typer.Option(help="Read the passphrase from this file.")] = None,
    open_: Annotated[
        Path | None, typer.Option("--open", help="Open this bundle instead of making one.")
    ] = None,
    to: Annotated[str | None, typer.Option(help="With --open: put what is missing into this store.")] = None,
    as_json: AsJson = False,
) -> None:
    """Put all secrets into one encrypted bundle for the safe, or open one and restore from it.

    Plain age opens it too (age -d -i KEY BUNDLE): no metachat is needed to read it years from now.

    \b
    Examples:
      metachat secrets escrow --recipient age1... --out /media/usb/metachat.age
      metachat secrets escrow --passphrase
      metachat secrets escrow --open metachat.age --identity recovery.key
      metachat secrets escrow --open metachat.age --identity recovery.key --to age:/etc/metachat/secrets.age
    """
    key = _key(identity, passphrase, passphrase_file, confirm=open_ is None)
    if open_ is not None:
        _open(open_, key, to, as_json)
        return
    out = out or Path(f"metachat-escrow-{clock.now():%Y-%m-%d}.age")
    with journal.recorded(here.place().data_dir, ESCROW, str(out)):
        bundle, verified = _make(out, recipient, key)

    def say() -> None:
        print(f"{len(bundle.secrets)} secrets of {bundle.store} are in {out}. Take it to the safe.")
        if not verified:
            print("Not verified: give the safe's private key with --identity, or try it with --open.")

    names = [one.name for one in bundle.secrets]
    here.show({"file": out, "names": names, "made_at": bundle.made_at, "verified": verified}, as_json, say)


def _make(out: Path, recipient: str, key: Secret | None) -> tuple[bundles.Bundle, bool]:
    bundle = bundles.gather(here.store())
    by_passphrase = key is not None and not age.is_identity(key)
    if by_passphrase and key is not None:
        content = age.lock(bundle.to_json(), key)
    else:
        content = age.encrypt(bundle.to_json(), [_recipient(recipient, key)])
    # Opened again before it counts: a bundle that nobody ever opened is a hope.
    if key is not None and bundles.open_bundle(content, key) != bundle:
        raise UnfitValue(
            "The bundle does not come back as it went in.", "Check the machine's memory and disk."
        )
    files.write_new(out, content)
    return bundle, key is not None


def _recipient(given: str, key: Secret | None) -> str:
    if given:
        return identities.public(given)
    if key is not None:
        return age.public(key)
    store = here.store()
    if isinstance(store, AgeStore) and RECOVERY in store.recipients():
        return store.recipients()[RECOVERY]
    raise UnfitValue(
        "It is not said for whom.", "Give --recipient age1..., --identity FILE, or --passphrase."
    )


def _open(path: Path, key: Secret | None, to: str | None, as_json: bool) -> None:
    if key is None:
        raise UnfitValue("A bundle is opened with a key.", "Give --identity FILE, or --passphrase.")
    verb = "secrets.escrow.open" if to is None else "secrets.escrow.restore"
    with journal.recorded(here.place().data_dir, verb, str(path)):
        bundle = bundles.open_bundle(files.read(path), key)
        told = (
            bundles.compare(bundle, here.store()) if to is None else bundles.restore(bundle, here.store(to))
        )
    rows = [[one.name, one.made_at or "-", one.fingerprint or "-", told[one.name]] for one in bundle.secrets]
    result: dict[str, Any] = {"made_at": bundle.made_at, "store": bundle.store, "secrets": told}

    def say() -> None:
        print(f"Bundle of {bundle.made_at}, from {bundle.store}.")
        here.table([["name", "made", "fingerprint", "here" if to is None else "restored"], *rows])

    here.show(result, as_json, say)


def _key(identity: Path | None, passphrase: bool, file: Path | None, confirm: bool) -> Secret | None:
    if file is not None:
        return Secret(files.read_private(file, "a passphrase"))
    if passphrase:
        return Secret(str(typer.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm)))
    return identities.load(identity) if identity is not None else None
