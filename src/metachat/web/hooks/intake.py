"""Group commit: one writer a process; while one commit is on its way, the next batch collects."""

import asyncio
from collections import deque
from dataclasses import dataclass, field

import asyncpg

from metachat.domain.channels import inbox
from metachat.domain.channels.inbox import Post
from metachat.foundation.db import Database, DatabaseAway
from metachat.foundation.errors import Unavailable
from metachat.foundation.log import log

# So many seconds without an update are calm.
_CALM = 0.03


class Overloaded(Unavailable):
    """More arrives than can be stored just now; deliver again shortly."""

    code = "overloaded"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may wait, and how much one commit takes; patience is how many seconds it may last."""

    waiting_rows: int = 20_000
    waiting_bytes: int = 64 * 1024 * 1024
    batch_rows: int = 2_000
    batch_bytes: int = 8 * 1024 * 1024
    patience: float = 8


@dataclass(slots=True, eq=False)
class _Waiting:
    post: Post
    rows: int
    size: int
    stored: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def done(self) -> None:
        if not self.stored.done():
            self.stored.set_result(None)

    def failed(self, error: Exception) -> None:
        if not self.stored.done():
            self.stored.set_exception(error)


class Intake:
    """Stores requests in as few commits as their arrival allows; no timer, so a lone one waits for none."""

    def __init__(self, database: Database, bounds: Bounds | None = None) -> None:
        self._database = database
        self._bounds = bounds or Bounds()
        self._queue: deque[_Waiting] = deque()
        self._rows = 0
        self._bytes = 0
        self._writer: asyncio.Task[None] | None = None
        self._last = 0.0

    async def store(self, post: Post) -> None:
        """Return once all of it is durable; raises Overloaded, DatabaseAway, when it may be so or not.

        A caller that is told of a failure delivers again; what was stored nevertheless stays single.
        """
        rows, size = len(post.updates), post.size
        bounds = self._bounds
        if self._rows + rows > bounds.waiting_rows or self._bytes + size > bounds.waiting_bytes:
            raise Overloaded(retry_after=2)
        waiting = _Waiting(post, rows, size)
        self._queue.append(waiting)
        self._rows += rows
        self._bytes += size
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write(), name="intake")
        await waiting.stored

    async def _write(self) -> None:
        while self._queue:
            batch = self._next_batch()
            try:
                await self._commit(batch)
            except Exception as error:  # the top of the loop: nobody may wait for ever
                log.error("a batch of updates could not be stored", exc_info=error)
                for waiting in batch:
                    waiting.failed(Overloaded(retry_after=5))
            finally:
                self._rows -= sum(waiting.rows for waiting in batch)
                self._bytes -= sum(waiting.size for waiting in batch)

    def _next_batch(self) -> list[_Waiting]:
        batch, rows, size = [self._queue.popleft()], 0, 0
        while self._queue:
            rows += batch[-1].rows
            size += batch[-1].size
            if rows >= self._bounds.batch_rows or size >= self._bounds.batch_bytes:
                break
            batch.append(self._queue.popleft())
        return batch

    async def _commit(self, batch: list[_Waiting]) -> None:
        try:
            await self._keep([waiting.post for waiting in batch])
        except (DatabaseAway, TimeoutError) as error:
            for waiting in batch:
                waiting.failed(_away(error))
        except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
            log.warning("batch failed, row by row now", error=type(error).__name__, posts=len(batch))
            for waiting in batch:
                await self._commit_alone(waiting)
        else:
            for waiting in batch:
                waiting.done()

    async def _commit_alone(self, waiting: _Waiting) -> None:
        try:
            for update in waiting.post.updates:
                await self._keep_row(waiting.post, update)
        except (DatabaseAway, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
            waiting.failed(_away(error))
        else:
            waiting.done()

    async def _keep_row(self, post: Post, update: inbox.Update) -> None:
        alone = Post(post.channel_kind, post.channel, post.tenant, (update,), post.correlation)
        try:
            await self._keep([alone])
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, ValueError) as error:
            # Something in its names that the database refuses: its bytes are kept all the same.
            kept = update.kept_as_bytes(f"refused by the database: {type(error).__name__}")
            await self._keep([Post(post.channel_kind, post.channel, post.tenant, (kept,), post.correlation)])

    async def _keep(self, posts: list[Post]) -> None:
        async with asyncio.timeout(self._bounds.patience), self._database.statement() as db:
            await inbox.take_in(db, posts, self._database.announcer if self._calm() else None)

    def _calm(self) -> bool:
        # One that comes alone gets to its worker sooner by a second commit, which many would have to pay for.
        before, self._last = self._last, asyncio.get_running_loop().time()
        return self._last - before > _CALM


def _away(error: Exception) -> Unavailable:
    return error if isinstance(error, DatabaseAway) else Overloaded(retry_after=5)
