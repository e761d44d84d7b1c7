"""The embedded Postgres's configuration: written anew at each start."""

import locale
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from metachat.operations.local import binaries
from metachat.operations.local.folder import write

# Small, since it shares a machine with everything else; durable, since it is the only memory there is.
DEFAULTS: Mapping[str, str] = MappingProxyType({
    "listen_addresses": "''",
    "unix_socket_permissions": "0700",
    "password_encryption": "'scram-sha-256'",
    "max_connections": "100",
    "shared_buffers": "'32MB'",
    "work_mem": "'8MB'",
    "maintenance_work_mem": "'64MB'",
    "effective_cache_size": "'512MB'",
    "max_wal_size": "'512MB'",
    "random_page_cost": "1.1",
    "jit": "off",
    "io_method": "'sync'",
    "autovacuum_max_workers": "2",
    "max_logical_replication_workers": "0",
    "max_parallel_workers": "2",
    "max_parallel_workers_per_gather": "1",
    "huge_pages": "off",
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    "log_line_prefix": "'%m [%p] %q%u@%d '",
    # A failed statement may be the one that sets a role's password.
    "log_min_error_statement": "'panic'",
})  # fmt: skip


_NOTE = "# Written by `metachat up` at each start; put changes into custom.conf beside this file."


def save(home: Path, settings: Mapping[str, str]) -> None:
    """Write postgresql.conf and pg_hba.conf; settings: what differs from the defaults."""
    known = {**DEFAULTS, **settings}
    if binaries.major() < binaries.MAJOR:
        known.pop("io_method")  # new in 18
    lines = [f"{name} = {value}" for name, value in known.items()]
    write(
        home / "postgresql.conf", "\n".join([_NOTE, *lines, "include_if_exists = 'custom.conf'", ""]), 0o644
    )
    write(home / "pg_hba.conf", "local all,replication all scram-sha-256\n", 0o644)


def letters() -> str:
    """The character classes for full text: with plain C, quotation marks and dashes count as letters."""
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        locale.setlocale(locale.LC_CTYPE, "C.UTF-8")
    except locale.Error:
        return "C"
    finally:
        locale.setlocale(locale.LC_CTYPE, before)
    return "C.UTF-8"
