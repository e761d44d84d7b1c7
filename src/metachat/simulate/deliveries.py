"""Webhooks on their way: signed, gathered under load, repeated ever more slowly until somebody says 200."""

import asyncio
import hashlib
import hmac
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from metachat.simulate.model import Account, now
from metachat.simulate.weather import Chance

if TYPE_CHECKING:
    import aiohttp

# What may wait in all; beyond it nobody in the simulated world can send.
WAITING_LIMIT = 200_000
_BYTES_LIMIT = 2_500_000
_LANES = 16
_RETRIES_AT_ONCE = 32
# Meta goes on for seven days, ever more slowly.
_LONGEST_PAUSE = 3_600.0
_GIVE_UP = 7 * 86_400.0


@dataclass(slots=True)
class Update:
    """One change of a webhook; arrived is told once, when somebody acknowledged it."""

    account: Account
    change: bytes
    lane: str
    arrived: Callable[[float, int], None] | None = None
    attempts: int = 0
    done: bool = False


@dataclass(slots=True)
class _Post:
    account: Account
    updates: list[Update]
    body: bytes
    began: float
    tries: int = 0


@dataclass(slots=True)
class Counts:
    """What became of deliveries so far."""

    posts: int = 0
    acknowledged: int = 0
    refused: int = 0
    unreachable: int = 0
    given_up: int = 0
    by_status: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Patience:
    """How deliveries are repeated: the first time at once, then after `pause`, twice that, and so on."""

    pause: float = 1.0
    answer_within: float = 15.0


class Deliveries:
    """Everything on its way to the platform's doors."""

    def __init__(self, chance: Chance, patience: Patience) -> None:
        self.counts = Counts()
        self.waiting = 0
        self._chance, self._patience = chance, patience
        self._lanes = [deque[Update]() for _ in range(_LANES)]
        self._woken = [asyncio.Event() for _ in range(_LANES)]
        self._held: deque[Update] = deque()
        self._retrying = asyncio.Semaphore(_RETRIES_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Begin to deliver."""
        # Only whoever runs the simulator pays for the client.
        import aiohttp  # noqa: PLC0415

        connector = aiohttp.TCPConnector(limit=_LANES + _RETRIES_AT_ONCE)
        timeout = aiohttp.ClientTimeout(total=self._patience.answer_within)
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
        )
        for number in range(_LANES):
            self._spawn(self._work(number))

    async def close(self) -> None:
        """Deliver nothing more."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    @property
    def full(self) -> bool:
        """Whether too much waits already."""
        return self.waiting >= WAITING_LIMIT

    def submit(self, update: Update) -> None:
        """Send an update on its way, as the weather allows; nothing when the app is not subscribed."""
        account = update.account
        if not account.callback or not account.subscribed:
            return
        for pause in self._chance.pauses():
            self.waiting += 1
            if pause:
                asyncio.get_running_loop().call_later(pause, self._queue, update)
            else:
                self._queue(update)

    def release(self) -> None:
        """Let go of what was withheld."""
        while self._held:
            self._queue(self._held.popleft())

    async def greet(self, account: Account, callback: str) -> bool:
        """Make sure of a callback address as Meta does, by a challenge that it has to repeat."""
        challenge = str(zlib.crc32(account.verify_token.encode()) + 1)
        query = {
            "hub.mode": "subscribe",
            "hub.challenge": challenge,
            "hub.verify_token": account.verify_token,
        }
        client = _client()
        assert self._session is not None
        try:
            async with self._session.get(callback, params=query, allow_redirects=False) as response:
                return response.status == 200 and await response.content.read(100) == challenge.encode()
        except (client.ClientError, TimeoutError, ValueError):
            return False

    def _queue(self, update: Update) -> None:
        if self._chance.weather.withheld:
            self._held.append(update)
            return
        number = zlib.crc32(update.lane.encode()) % _LANES
        self._lanes[number].append(update)
        self._woken[number].set()

    async def _work(self, number: int) -> None:
        lane, woken = self._lanes[number], self._woken[number]
        while True:
            if not lane:
                woken.clear()
                await woken.wait()
            post = self._gather(lane)
            if not await self._deliver(post):
                # What comes after is not held up: that is how order gets lost with the real one as well.
                self._spawn(self._repeat(post))

    def _gather(self, lane: deque[Update]) -> _Post:
        updates = [lane.popleft()]
        size, most = len(updates[0].change), self._chance.weather.batch
        while lane and len(updates) < most and lane[0].account is updates[0].account:
            size += len(lane[0].change)
            if size > _BYTES_LIMIT:
                break
            updates.append(lane.popleft())
        began = now()
        head = b'{"object":"whatsapp_business_account","entry":[{"id":"%s","time":%d,"changes":[' % (
            updates[0].account.waba_id.encode(), int(began))  # fmt: skip
        body = head + b",".join(update.change for update in updates) + b"]}]}"
        return _Post(updates[0].account, updates, body, began)

    async def _repeat(self, post: _Post) -> None:
        try:
            while now() - post.began < _GIVE_UP:
                pause = 0.0 if post.tries == 1 else self._patience.pause * 2.0 ** min(post.tries - 2, 20)
                await asyncio.sleep(min(pause, _LONGEST_PAUSE) * self._chance.dice.uniform(0.8, 1.2))
                async with self._retrying:
                    if await self._deliver(post):
                        return
            self.counts.given_up += len(post.updates)
            self.waiting -= len(post.updates)
        except asyncio.CancelledError:
            self.waiting -= len(post.updates)
            raise

    async def _deliver(self, post: _Post) -> bool:
        post.tries += 1
        self.counts.posts += 1
        status = await self._post(post)
        if status is None:
            self.counts.unreachable += 1
            return False
        self.counts.by_status[str(status)] = self.counts.by_status.get(str(status), 0) + 1
        if status != 200:
            self.counts.refused += 1
            return False
        self.counts.acknowledged += len(post.updates)
        self.waiting -= len(post.updates)
        moment = now()
        for update in post.updates:
            update.attempts += post.tries
            if not update.done:
                update.done = True
                if update.arrived is not None:
                    update.arrived(moment, post.tries)
        return True

    async def _post(self, post: _Post) -> int | None:
        if self._chance.weather.offline:
            return None
        assert self._session is not None
        client = _client()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "facebookexternalua",
            "X-Hub-Signature-256": signature(post.account.app_secret, post.body),
        }
        try:
            async with self._session.post(
                post.account.callback, data=post.body, headers=headers, allow_redirects=False
            ) as response:
                await response.content.readany()
                return response.status
        except (client.ClientError, TimeoutError, OSError, ValueError):
            return None

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def signature(app_secret: str, body: bytes) -> str:
    """HMAC-SHA256 of the raw bytes under the app's secret, as in X-Hub-Signature-256."""
    return "sha256=" + hmac.new(app_secret.encode(), body, hashlib.sha256).hexdigest()


def change(field_name: str, value: dict[str, Any]) -> bytes:
    """One change of a webhook."""
    return msgspec.json.encode({"value": value, "field": field_name})


def _client() -> Any:
    import aiohttp  # noqa: PLC0415 - see `open`

    return aiohttp
