"""All secrets in the editor: in memory, for its owner only, and gone afterwards."""

import contextlib
import os
import secrets
import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from metachat.foundation.settings import PREFIX, Mode, Secret, envfile, variable
from metachat.operations.secrets import handing
from metachat.operations.secrets.contract import Store, StoreRefusal, UnfitValue, read_all
from metachat.operations.secrets.known import check

_KEPT = (
    "PATH",
    "HOME",
    "TERM",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "USER",
    "LOGNAME",
    "SHELL",
    "COLORTERM",
    "DISPLAY",
)
_WORDS = """\
# The secrets of {address}. Save and leave to keep them, or leave without saving.
# A line taken out deletes nothing: that is `metachat secrets delete NAME`.
"""


def edit(store: Store, mode: Mode, editor: list[str], again: Callable[[StoreRefusal], bool]) -> list[str]:
    """Let the secrets be edited, and return the names of those that changed.

    `again` is asked, with what was wrong, whether the editor is to be opened once more. Raises StoreRefusal,
    and then nothing was changed.
    """
    before = read_all(store)
    with _file_in_memory(store.address, before) as file:
        while True:
            _run(editor, file)
            try:
                after = _read(file)
                changed = {name: value for name, value in after.items() if before.get(name) != value}
                for name, value in changed.items():
                    check(name, value, mode)
                break
            except StoreRefusal as refusal:
                if not again(refusal):
                    raise
    _refuse_changed_meanwhile(store, before, changed)
    for name, value in changed.items():
        store.put(name, value)
    return sorted(changed)


def chosen_editor(environ: Mapping[str, str]) -> list[str]:
    """The editor that the account prefers."""
    return shlex.split(environ.get("VISUAL") or environ.get("EDITOR") or "vi")


@contextlib.contextmanager
def _file_in_memory(address: str, values: Mapping[str, Secret]) -> Iterator[Path]:
    folder = handing.MEMORY / f"metachat-edit-{os.geteuid()}-{secrets.token_hex(8)}"
    handing.make_private(folder)
    file = folder / "secrets.env"
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as writing:
            writing.write(_WORDS.format(address=address))
            writing.writelines(
                envfile.write(variable(name), value.reveal()) for name, value in values.items()
            )
        yield file
    finally:
        _shred(folder)


def _shred(folder: Path) -> None:
    """Overwrite and remove whatever the editor left: backups and swap files too."""
    for entry in folder.rglob("*"):
        if entry.is_file() and not entry.is_symlink():
            with entry.open("r+b") as file:
                file.write(b"\0" * entry.stat().st_size)
    handing.clear(folder)


def _run(editor: list[str], file: Path) -> None:
    # Not with our environment: an editor keeps histories, and starts programs of its own.
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    try:
        done = subprocess.run([*editor, str(file)], env=environment, cwd=file.parent, check=False)
    except OSError as error:
        raise UnfitValue(
            f"The editor {editor[0]} does not start ({error.strerror}).", "Set EDITOR."
        ) from error
    if done.returncode != 0:
        raise UnfitValue(f"The editor ended with {done.returncode}.", "Nothing was changed.")


def _read(file: Path) -> dict[str, Secret]:
    lines, bad = envfile.read(file.read_bytes())
    if bad:
        raise UnfitValue(f"Line {bad[0].number} {bad[0].problem}.", "Write it as METACHAT_NAME=value.")
    return {line.name.removeprefix(PREFIX).lower(): Secret(line.value) for line in lines}


def _refuse_changed_meanwhile(
    store: Store, before: Mapping[str, Secret], changed: Mapping[str, Secret]
) -> None:
    now = read_all(store)
    other = [name for name in changed if now.get(name) != before.get(name)]
    if other:
        raise UnfitValue(f"{', '.join(other)} changed meanwhile.", "Nothing was changed; edit again.")
