"""Customers with telephones and the provider between: signed webhooks to the door, sent messages back here.

`python -m bench.phones PORT CHANNEL[,CHANNEL...] GRAPH_PORT` takes one phase a line as JSON and tells how it
went as JSON. The provider is a bare loopback server, so that what is measured is not the measure itself.
"""

import asyncio
import json
import re
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import msgspec
import uvloop
from typing_extensions import override

from metachat.domain.channels.whatsapp.signature import sign

SECRET = "the app secret of the bench"
NUMBER = "106540352242922"
QUESTIONS = (
    "What does standard delivery to Germany cost and how long does it take?",
    "How long do I have to return a tent that I have not used?",
    "Which ways to pay do you accept in the shop?",
    "Can I change the delivery address after I have ordered?",
)


class Sent(msgspec.Struct):
    """What the provider's sink reads of a message to a customer; a mark of reading has no receiver."""

    to: str = ""


class Phones:
    """Customers who ask, and what came back to them."""

    def __init__(self, port: int, channels: list[str]) -> None:
        self.port, self.channels = port, channels
        self.asked = 0
        self.run = f"{time.time_ns():x}"
        self.waiting: dict[str, float] = {}
        self.times: list[float] = []
        self.surplus = 0
        self.refused = 0
        self.last = 0.0
        self.connections: list[Connection] = []
        self.arrived = asyncio.Event()

    async def ask(self, sender: str) -> None:
        """Send a question; the clock runs from the moment its first byte is written."""
        connection = self._idle() or await self._connect()
        request = self._request(sender)
        self.waiting[sender] = time.perf_counter()
        connection.send(request)

    def came(self, sender: str) -> None:
        """Take note of a message to a customer."""
        began = self.waiting.pop(sender, None)
        self.last = time.perf_counter()
        if began is None:
            self.surplus += 1
        else:
            self.times.append(self.last - began)
            self.arrived.set()

    def _idle(self) -> "Connection | None":
        while self.connections:
            connection = self.connections.pop()
            if not connection.closed:
                return connection
        return None

    async def _connect(self) -> "Connection":
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: Connection(self), "127.0.0.1", self.port)
        return connection

    def _request(self, sender: str) -> bytes:
        self.asked += 1
        channel = self.channels[int(sender[5:]) % len(self.channels)]
        # No two questions are alike, as with customers.
        text = f"{QUESTIONS[self.asked % len(QUESTIONS)]} It is about order {self.asked:07d}."
        message = {
            "from": sender, "id": f"wamid.{self.run}.{self.asked}", "timestamp": str(int(time.time())),
            "type": "text", "text": {"body": text},
        }  # fmt: skip
        value = {
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": "38515550000", "phone_number_id": NUMBER},
            "contacts": [{"profile": {"name": "Ana"}, "wa_id": sender}],
            "messages": [message],
        }
        entry = {"id": "102290129340398", "changes": [{"field": "messages", "value": value}]}
        body = msgspec.json.encode({"object": "whatsapp_business_account", "entry": [entry]})
        head = (
            f"POST /hooks/whatsapp/{channel} HTTP/1.1\r\nhost: 127.0.0.1\r\n"
            f"content-type: application/json\r\nx-hub-signature-256: {sign(SECRET, body)}\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


class Connection(asyncio.Protocol):
    """One connection of the provider to the door."""

    def __init__(self, phones: Phones) -> None:
        self._phones = phones
        self._received = b""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be ready."""
        self._transport = cast(asyncio.Transport, transport)

    @property
    def closed(self) -> bool:
        """Whether the door has hung up, as it does after a while."""
        return self._transport.is_closing()

    def send(self, request: bytes) -> None:
        """Deliver."""
        self._received = b""
        self._transport.write(request)

    @override
    def data_received(self, data: bytes) -> None:
        """Take the acknowledgement."""
        self._received += data
        if b"\r\n\r\n" in self._received:
            self._phones.refused += self._received[9:12] != b"200"
            self._phones.connections.append(self)


class Sink(asyncio.Protocol):
    """One connection of the platform to the provider: takes everything, under an id of its own."""

    count = 0

    def __init__(self, phones: Phones) -> None:
        self._phones = phones
        self._received = bytearray()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be ready."""
        self._transport = cast(asyncio.Transport, transport)

    @override
    def data_received(self, data: bytes) -> None:
        """Take requests, one after the other."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            length = re.search(rb"content-length: (\d+)", bytes(self._received[:end]).lower())
            whole = end + 4 + (int(length.group(1)) if length else 0)
            if len(self._received) < whole:
                return
            body = bytes(self._received[end + 4 : whole])
            del self._received[:whole]
            self._answer(body)

    def _answer(self, body: bytes) -> None:
        to = msgspec.json.decode(body, type=Sent).to
        if to:
            Sink.count += 1
            self._phones.came(to)
            said = (
                f'{{"messaging_product":"whatsapp","contacts":[{{"input":"{to}","wa_id":"{to}"}}],'
                f'"messages":[{{"id":"wamid.out{self._phones.run}.{Sink.count}"}}]}}'
            )
        else:
            said = '{"success":true}'
        head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: "
        self._transport.write(f"{head}{len(said)}\r\n\r\n{said}".encode())


def name_of(person: int) -> str:
    """The telephone number of a customer."""
    return f"49151{person:08d}"


async def paced(phones: Phones, rate: float, count: int, people: int) -> None:
    """Ask at an even rate, whatever comes back."""
    began = time.perf_counter()
    for number in range(count):
        pause = began + number / rate - time.perf_counter()
        if pause > 0:
            await asyncio.sleep(pause)
        place = number
        while name_of(place % people) in phones.waiting:  # never two questions of one person at once
            place += 1
        await phones.ask(name_of(place % people))


async def crowded(phones: Phones, window: int, count: int, people: int) -> None:
    """Always have so many questions open: as fast as they are answered."""
    number = asked = 0
    while asked < count:
        while len(phones.waiting) >= window:
            phones.arrived.clear()
            async with asyncio.timeout(60):
                await phones.arrived.wait()
        sender = name_of(number % people)
        number += 1
        if sender not in phones.waiting:
            asked += 1
            await phones.ask(sender)


async def phase(phones: Phones, told: dict[str, Any]) -> dict[str, Any]:
    """Run one phase, and wait until everything is answered."""
    phones.times.clear()
    phones.surplus = phones.refused = 0
    began, used = time.perf_counter(), time.process_time()
    if "window" in told:
        await crowded(phones, told["window"], told["count"], told["people"])
    else:
        await paced(phones, told["rate"], told["count"], told["people"])
    try:
        async with asyncio.timeout(60):
            while phones.waiting:
                phones.arrived.clear()
                await phones.arrived.wait()
    except TimeoutError:
        pass
    unanswered = len(phones.waiting)
    phones.waiting.clear()
    return {
        "seconds": phones.last - began, "times": sorted(phones.times), "surplus": phones.surplus,
        "refused": phones.refused, "unanswered": unanswered, "processor": time.process_time() - used,
    }  # fmt: skip


@asynccontextmanager
async def standard_input() -> AsyncIterator[asyncio.StreamReader]:
    """Lines from whoever started us."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    yield reader
    transport.close()


async def main(port: int, channels: list[str], graph: int) -> None:
    """Run phases until there are no more."""
    phones = Phones(port, channels)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Sink(phones), "127.0.0.1", graph)
    async with standard_input() as lines:
        while line := await lines.readline():
            print(json.dumps(await phase(phones, json.loads(line))), flush=True)
    server.close()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2].split(","), int(sys.argv[3])))
