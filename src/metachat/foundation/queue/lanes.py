"""The broker in Postgres: jobs and lanes are rows, wake-ups travel as realtime news."""

import asyncio
from collections.abc import Mapping

from metachat.foundation.db import Database
from metachat.foundation.queue import store
from metachat.foundation.queue.loop import Loop
from metachat.foundation.queue.model import Limits, owner_name
from metachat.foundation.queue.running import C, Handler
from metachat.foundation.realtime import Listens


class Lanes:
    """Satisfies Broker; `host` is the name under which this process holds its lanes, None for its own."""

    enqueue = staticmethod(store.enqueue)
    debounce = staticmethod(store.debounce)
    finish = staticmethod(store.finish)
    dead = staticmethod(store.dead)
    replay = staticmethod(store.replay)

    def __init__(self, database: Database, listener: Listens, host: str | None = None) -> None:
        self._database = database
        self._listener = listener
        self._host = host

    async def run(
        self, handlers: Mapping[str, Handler[C]], context: C, limits: Limits, stop: asyncio.Event
    ) -> None:
        """Be a worker until `stop`, then drain."""
        owner = owner_name(self._host)
        await Loop(self._database, self._listener, handlers, context, limits, owner=owner).run(stop)
