"""How many connections the database has open, and how many it takes."""

from dataclasses import dataclass

from metachat.foundation.db import Database

# Sessions of others are counted here without a right to look at them.
CONNECTIONS = """
SELECT sum(numbackends)::int AS open, current_setting('max_connections')::int AS most FROM pg_stat_database
"""


@dataclass(frozen=True, slots=True)
class Connections:
    """Open connections of all databases of the server, and the most there can be."""

    open: int
    most: int


async def reach(database: Database) -> None:
    """Have the database answer; raises DatabaseAway."""
    async with database.transaction() as db:
        await db.value("SELECT 1")


async def connections(database: Database) -> Connections:
    """Count them; raises DatabaseAway."""
    async with database.transaction() as db:
        row = await db.one(CONNECTIONS)
    assert row is not None, "an aggregate gives one row"
    return Connections(**row)
