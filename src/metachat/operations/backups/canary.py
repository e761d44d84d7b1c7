"""A row written every half minute, whose arrival in the target tells how much would be lost right now."""

from dataclasses import dataclass
from datetime import datetime

from metachat.foundation import clock
from metachat.operations.backups.database import Server

SECONDS = 30.0

_MAKE = """
CREATE SCHEMA IF NOT EXISTS metachat_backups;
CREATE TABLE IF NOT EXISTS metachat_backups.canary (id bigint PRIMARY KEY, at timestamptz NOT NULL);
"""
# Each statement by itself: within one transaction the commit would land behind the switch, in the next
# segment, and the row would not be where we look for it.
_WRITE = """
INSERT INTO metachat_backups.canary VALUES ({id}, to_timestamp({at}));
DELETE FROM metachat_backups.canary WHERE at < now() - interval '1 day';
SELECT pg_walfile_name(pg_current_wal_insert_lsn());
SELECT pg_switch_wal();
"""
_NEWEST = "SELECT id, extract(epoch FROM at) FROM metachat_backups.canary ORDER BY id DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class Canary:
    """One row: its number, its time, and the segment of the log that holds its commit."""

    id: int
    at: datetime
    segment: str = ""


def write(server: Server) -> Canary:
    """Write a row and close its segment, which Postgres then archives; raises ProgramFailed."""
    server.ask("SET client_min_messages = warning;" + _MAKE)
    at = clock.now()
    id = int(at.timestamp() * 1000)
    rows = server.ask(_WRITE.format(id=id, at=at.timestamp()))
    return Canary(id, at, rows[0][0])


def newest(server: Server) -> Canary | None:
    """Read the newest row of a database; None when it never had one."""
    if server.one("SELECT to_regclass('metachat_backups.canary') IS NOT NULL") != "t":
        return None
    rows = server.ask(_NEWEST)
    if not rows:
        return None
    return Canary(int(rows[0][0]), datetime.fromtimestamp(float(rows[0][1]), clock.now().tzinfo))
