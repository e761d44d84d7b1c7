"""The superuser of a restored cluster, where none of its passwords came along: Debian's has none."""

import secrets
import subprocess

from metachat.operations.backups.contract import ProgramFailed
from metachat.operations.local import binaries, configuration
from metachat.operations.local.folder import write
from metachat.operations.local.postgres import SUPERUSER, Cluster


def claim(cluster: Cluster) -> None:
    """Give the superuser of a cluster that is at rest a password, unless we have it; raises ProgramFailed."""
    kept = cluster.folder / "superuser.password"
    if kept.exists():
        return
    password, account = secrets.token_urlsafe(24), binaries.runner()
    configuration.save(cluster.home, {})
    done = subprocess.run(
        [str(binaries.programs(account) / "postgres"), "--single", "-D", str(cluster.data),
         "-c", f"config_file={cluster.home / 'postgresql.conf'}", "postgres"],
        input=f"ALTER ROLE {SUPERUSER} PASSWORD '{password}'\n", capture_output=True, text=True, check=False,
        cwd="/", env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}, timeout=300,
        user=account.user, group=account.group, extra_groups=account.extra_groups,
    )  # fmt: skip
    if done.returncode != 0 or "ERROR" in done.stderr:
        raise ProgramFailed(f"Postgres said: {done.stderr.strip()[-500:]}", "See its log.")
    write(kept, f"{password}\n", 0o600)
