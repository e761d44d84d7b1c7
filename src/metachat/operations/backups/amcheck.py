"""Every index held against its table, where this build of Postgres brings amcheck."""

import subprocess

from metachat.operations.backups.contract import ProgramFailed
from metachat.operations.backups.database import Server

_SECONDS = 4 * 3600.0
_AVAILABLE = "SELECT count(*) FROM pg_available_extensions WHERE name = 'amcheck'"


def check(server: Server, database: str) -> str:
    """Check a copy, which gets the extension for it; tells what was checked. Raises ProgramFailed."""
    if server.one(_AVAILABLE) == "0":
        return "amcheck is not in this build"
    with server.environment() as environment:
        done = subprocess.run(
            [str(server.programs / "pg_amcheck"), *server.arguments(), "-d", database, "--install-missing",
             "--heapallindexed"],
            capture_output=True, text=True, check=False, env=environment, cwd="/", timeout=_SECONDS,
        )  # fmt: skip
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip()[-500:]
        raise ProgramFailed(f"pg_amcheck said: {said}", "Use another backup.")
    return "every index holds all rows (amcheck)"
