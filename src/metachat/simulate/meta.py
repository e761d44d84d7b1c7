"""The simulator in the hands of tests and benchmarks: in a thread of theirs, or in a process of its own."""

import asyncio
import contextlib
import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import msgspec

from metachat.foundation.settings.clean import without_secrets
from metachat.simulate.model import Account, new_account

_PATIENCE = 30.0
_PAGE = 20_000
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Seen:
    """One message as its phone shows it; times are seconds since 1970."""

    number: int
    id: str
    phone: str
    side: str
    type: str
    body: Any
    text: str
    at: float
    step: str
    account: str
    reply_to: str | None
    callback_data: str | None
    acknowledged_at: float | None
    told_at: float | None
    attempts: int
    error: dict[str, Any] | None


class Refused(Exception):
    """What the control API did not accept."""


class Meta:
    """A running simulator, spoken to through its control API."""

    def __init__(self, address: str, account: Account) -> None:
        self.address, self.account = address, account
        self._place = address.removeprefix("http://")
        self._lock = threading.Lock()
        self._connection: http.client.HTTPConnection | None = None

    def connect(self, callback: str, account: Account | None = None, *, handshake: bool = True) -> None:
        """Have an account's webhooks delivered to this address, which has to answer the challenge."""
        number = (account or self.account).phone_number_id
        self.call("POST", f"accounts/{number}", {"callback": callback, "handshake": handshake})

    def found(self, name: str) -> Account:
        """Found another business."""
        return _account(self.call("POST", "accounts", {"name": name}))

    def change(self, account: Account | None = None, **given: Any) -> None:
        """Change a business: grant, subscribed, status, quality_rating, scopes."""
        self.call("POST", f"accounts/{(account or self.account).phone_number_id}", given)

    def says(self, phone: str, text: str | None = None, **said: Any) -> Seen:
        """Write as a person; see `phones.says` for what can be said besides text."""
        given = said if text is None else {"text": text, **said}
        return _seen(self.call("POST", f"phones/{phone}/messages", given))

    def attach(self, content: bytes, media_type: str, account: Account | None = None) -> str:
        """Give a person a file; gives its id, for `says(phone, type="image", media=id)`."""
        number = (account or self.account).phone_number_id
        answer = self.send("POST", f"media?account={number}", content, {"Content-Type": media_type})
        return str(json.loads(answer)["id"])

    def burst(self, rate: float, count: int, phones: int, text: str = "Question {n}", **more: Any) -> str:
        """Write `count` messages at `rate` a second from so many phones, in turn; gives the burst's name."""
        given = {"rate": rate, "count": count, "phones": phones, "text": text, **more}
        return str(self.call("POST", "burst", given)["name"])

    def is_over(self, burst: str) -> bool:
        """Whether a burst has written everything; raises Refused when it could not."""
        progress = self.state()["bursts"][burst]
        if progress["error"]:
            raise Refused(progress["error"])
        return bool(progress["sent"] >= progress["count"])

    def arrivals(self, after: int = 0) -> list[Seen]:
        """What phones received, in order, after this number."""
        return self._listed("arrivals", after)

    def sent(self, after: int = 0) -> list[Seen]:
        """What phones sent, in order, after this number."""
        return self._listed("sent", after)

    def thread(self, phone: str) -> list[Seen]:
        """What one phone shows, oldest first."""
        found = self.call("GET", f"phones/{phone}/thread?limit=10000")
        return [_seen(item) for item in found]

    def weather(self, **given: Any) -> None:
        """Change how webhooks travel: duplicates, reorder, delay, batch, withheld, offline."""
        self.call("POST", "weather", given)

    def fails(self, kind: str, **given: Any) -> None:
        """Let requests go wrong: kind error or status (code), timeout, slow, cut, cut_after; see `Rule`."""
        self.call("POST", "rules", {"kind": kind, **given})

    def recovers(self) -> None:
        """Let all requests go right again."""
        self.call("DELETE", "rules")

    def habits(self, **given: Any) -> None:
        """Change how soon statuses follow: sent, delivered, read in seconds (None: never); late_errors."""
        self.call("POST", "habits", given)

    def rates(self, **given: Any) -> None:
        """Change how much Meta takes: number_per_second, pair_burst, pair_seconds."""
        self.call("POST", "rates", given)

    def unplug(self, seconds: float) -> None:
        """Close the port for some seconds; returns once nobody can speak to it, not even this."""
        self.call("POST", "unplug", {"seconds": seconds})
        with self._lock:
            self.close()
            while self._takes_connections():
                time.sleep(0.005)

    def state(self) -> dict[str, Any]:
        """Everything but the messages."""
        found = self.call("GET", "state")
        assert isinstance(found, dict)
        return found

    def until(self, look: Callable[[], T], within: float = _PATIENCE) -> T:
        """Look again and again until there is something; raises TimeoutError. Not for an event loop."""
        deadline = time.monotonic() + within
        while not (found := look()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"nothing within {within:g} s")
            time.sleep(0.02)
        return found

    async def eventually(self, look: Callable[[], T], within: float = _PATIENCE) -> T:
        """The same from an event loop."""
        async with asyncio.timeout(within):
            while not (found := await asyncio.to_thread(look)):  # noqa: ASYNC110 - it looks at another process
                await asyncio.sleep(0.02)
        return found

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Call the control API with JSON; raises Refused."""
        encoded = None if body is None else json.dumps(body).encode()
        answer = self.send(method, path, encoded, {"Content-Type": "application/json"})
        return json.loads(answer) if answer else None

    def send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> bytes:
        """Send a request to the control API; raises Refused, ConnectionError."""
        with self._lock:
            try:
                status, content = self._exchange(method, path, body, headers)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                raise ConnectionError(f"{self.address}: {type(error).__name__}") from error
        if status >= 400:
            raise Refused(f"{status}: {content.decode(errors='replace')[:500]}")
        return content

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self._place, timeout=_PATIENCE)
        self._connection.request(method, f"/_simulator/{path}", body=body, headers=headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def _takes_connections(self) -> bool:
        host, _, port = self._place.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()
        except OSError:
            return False
        return True

    def _listed(self, side: str, after: int) -> list[Seen]:
        found: list[Seen] = []
        while True:
            part = self.call("GET", f"{side}?after={after}&limit={_PAGE}")["items"]
            found += [_seen(item) for item in part]
            if len(part) < _PAGE:
                return found
            after = part[-1]["number"]


@contextlib.contextmanager
def thread(
    seed: int = 1, account: Account | None = None, pause: float = 0.05, port: int = 0
) -> Iterator[Meta]:
    """Run a simulator in a thread; pause is the first one before a webhook is repeated, in seconds."""
    from metachat.simulate.deliveries import Patience  # noqa: PLC0415 - a child's parent needs none of it
    from metachat.simulate.limits import Rates  # noqa: PLC0415
    from metachat.simulate.serve import Simulator, listen  # noqa: PLC0415

    simulator = Simulator(listen("127.0.0.1", port), account or new_account(), Rates(), Patience(pause), seed)
    ready = threading.Event()
    running = threading.Thread(target=simulator.run, args=(ready.set,), daemon=True)
    running.start()
    if not ready.wait(_PATIENCE):
        raise TimeoutError("the simulator did not start")
    meta = Meta(simulator.address, simulator.account)
    try:
        yield meta
    finally:
        meta.close()
        simulator.stop()
        running.join(_PATIENCE)


@contextlib.contextmanager
def process(
    seed: int = 1, account: Account | None = None, pause: float = 0.05, port: int = 0
) -> Iterator[Meta]:
    """Run a simulator in a process of its own; it ends when we do."""
    argv = [sys.executable, "-m", "metachat.simulate", str(port), str(seed), str(pause)]
    child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=without_secrets())
    assert child.stdin is not None
    assert child.stdout is not None
    # The account goes over a pipe: its secrets are nobody's business in a list of processes.
    child.stdin.write(json.dumps(asdict(account or new_account())).encode() + b"\n")
    child.stdin.flush()
    line = child.stdout.readline()
    if not line:
        raise ConnectionError(f"the simulator ended with code {child.wait()}")
    told = json.loads(line)
    meta = Meta(told["address"], _account(told["account"]))
    try:
        yield meta
    finally:
        meta.close()
        child.stdin.close()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        child.stdout.close()


def _seen(item: dict[str, Any]) -> Seen:
    names = Seen.__dataclass_fields__
    return Seen(side=item["from"], **{name: item[name] for name in names if name != "side"})


def _account(item: dict[str, Any]) -> Account:
    return msgspec.convert(item, Account)
