"""Where a database's files lie: in its folder, or for root where Postgres's account can reach them."""

import tempfile
from pathlib import Path

from metachat.foundation.errors import Kind, Refusal
from metachat.operations.local import binaries
from metachat.operations.local.folder import write

_POINTER = "home"
_OWNER = "belongs-to"


class HomeMissing(Refusal):
    """The folder's database lies elsewhere, and cannot be used from here."""

    code = "home_missing"
    kind = Kind.CONFLICT
    exit_code = 78  # EX_CONFIG


def find(folder: Path) -> Path:
    """Tell where a folder's database lies; the folder itself unless it points elsewhere."""
    pointer = folder / _POINTER
    return Path(pointer.read_text().strip()) if pointer.exists() else folder


def ensure(folder: Path, account: binaries.Account) -> None:
    """Make a place that the account can reach, when it is not ourselves; raises HomeMissing."""
    if account.user is None:
        return
    if (folder / _POINTER).exists():
        _check(find(folder), folder)
        return
    binaries.ensure_root_home()
    home = Path(tempfile.mkdtemp(prefix="data-", dir=binaries.ROOT_HOME))
    home.chmod(0o711)
    write(home / _OWNER, _identity(folder), 0o600)
    write(folder / _POINTER, f"{home}\n", 0o600)


def _check(home: Path, folder: Path) -> None:
    """A copied folder must not share its database with the original."""
    try:
        belongs = (home / _OWNER).read_text()
    except FileNotFoundError as error:
        raise HomeMissing(f"{folder} keeps its database in {home}, which is gone.") from error
    if belongs != _identity(folder):
        raise HomeMissing(
            f"{folder} seems to be a copy: its database in {home} belongs to another folder."
            f" If that one is gone, run: printf {_identity(folder)} > {home}/{_OWNER}"
        )


def _identity(folder: Path) -> str:
    # Without the device: its number may change from one boot to the next.
    return str(folder.stat().st_ino)
