"""The brokers under test. One more is one more entry: all of the suite then runs for it as well."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from metachat.foundation.announcing import Announcer
from metachat.foundation.db import Database
from metachat.foundation.queue import Broker, Lanes
from metachat.foundation.realtime import Listener


@dataclass(frozen=True)
class Engine:
    """A broker as a worker process opens it, with the database that effects go to."""

    broker: Broker
    database: Database


@asynccontextmanager
async def lanes(dsn: str, host: str | None) -> AsyncIterator[Engine]:
    """The one in Postgres."""
    announcer, listener = Announcer(dsn), Listener(dsn)
    announcer.start()
    listener.start()
    database = await Database.open(dsn, announcer=announcer)
    yield Engine(Lanes(database, listener, host), database)
    await database.close()
    await listener.close()
    await announcer.close()


# Opens a broker's working end on a database, as if on a host of that name.
ENGINES: Mapping[str, Callable[[str, str | None], AbstractAsyncContextManager[Engine]]] = {"lanes": lanes}
