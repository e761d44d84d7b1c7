"""How many rows each table has: what a restored database is held against."""

from collections.abc import Mapping

from metachat.operations.backups.database import Server
from metachat.operations.backups.manifest import Counted

_TABLES = """
SELECT format('SELECT %L, count(*) FROM %I.%I;', c.relname, n.nspname, c.relname)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = 'public' AND c.relkind = 'r' ORDER BY 1
"""

# Not exactly: what is restored is a later state than any that can be counted. A backup has no snapshot of
# its own, and the log after it holds commits in another order than they became visible in. Rows go, too: jobs
# are done, drafts replaced. A tenth is far more than goes during a backup.
_LEAST = 0.9

# Rows of these come and go with the work: a quiet hour after a busy one has none, and nothing is lost.
# The limits' own (paces, rate_levels) are not in the log at all, and come back empty.
_PASSING = frozenset({
    "dead_jobs", "deliveries", "drafts", "idempotency_keys", "inbox", "jobs", "key_holders", "lanes", "paces",
    "rate_levels", "receipts", "sessions", "throttles", "workers",
})  # fmt: skip

_KEYS = """
SELECT name, string_agg(id, ' ' ORDER BY id) FROM key_records WHERE state IN ('current', 'old') GROUP BY 1
"""


def count(server: Server, database: str) -> dict[str, int]:
    """Count every table's rows; reads all of them."""
    counts = "\n".join(statement for (statement,) in server.ask(_TABLES, database))
    return {name: int(number) for name, number in server.ask(counts, database, timeout=600)}


def keys(server: Server, database: str) -> dict[str, tuple[str, ...]]:
    """The keys that rows are under, by setting; none where the database knows of no keys."""
    if server.one("SELECT to_regclass('public.key_records') IS NOT NULL", database) != "t":
        return {}
    return {name: tuple(ids.split(" ")) for name, ids in server.ask(_KEYS, database)}


def side_by_side(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, Counted]:
    """Both counts of each table."""
    return {name: Counted(before.get(name, 0), number) for name, number in after.items()}


def lacking(expected: Mapping[str, Counted], found: Mapping[str, int]) -> list[str]:
    """Say which tables have fewer rows than they must; empty when none has."""
    return [
        f"{name} has {found.get(name, 'none')} of at least {min(one.before, one.after)} rows"
        for name, one in expected.items()
        if name not in _PASSING and (name not in found or found[name] < min(one.before, one.after) * _LEAST)
    ]
