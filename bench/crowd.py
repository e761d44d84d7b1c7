"""Visitors as light as sockets allow, so that the crowd takes little of the machine that it measures."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from metachat.foundation.ids import ConversationId


@dataclass
class Guest:
    """One visitor: a connection to send, one to receive; source is the address they come from."""

    host: str
    port: int
    channel: str
    token: str = ""
    conversation: ConversationId | None = None
    source: str = "127.0.0.1"
    events: asyncio.Queue[tuple[str, dict[str, Any]]] = field(default_factory=asyncio.Queue)
    _sending: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    _stream: asyncio.StreamWriter | None = None
    _reading: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Start a session."""
        status, session = await self.post("sessions", {"locale": "en"})
        assert status == 201, (status, session)
        self.token = session["token"]

    async def say(self, text: str) -> None:
        """Send a message."""
        status, answer = await self.post("messages", {"text": text, "client_key": uuid4().hex})
        assert status == 202, (status, answer)

    async def post(self, place: str, body: dict[str, Any]) -> tuple[int, Any]:
        """Send a request on the kept connection."""
        if self._sending is None:
            self._sending = await asyncio.open_connection(self.host, self.port, local_addr=(self.source, 0))
        reader, writer = self._sending
        content = json.dumps(body).encode()
        writer.write(self._head("POST", place, len(content)) + content)
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode().lower().split("\r\n")
        length = next(int(line[16:]) for line in lines if line.startswith("content-length: "))
        return int(head[9:12]), json.loads(await reader.readexactly(length))

    async def listen(self) -> None:
        """Open the stream; its events come into the queue."""
        reader, writer = await asyncio.open_connection(
            self.host, self.port, limit=2**16, local_addr=(self.source, 0)
        )
        writer.write(self._head("GET", "events", 0))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        self._stream = writer
        self._reading = asyncio.create_task(self._read(reader))

    async def leave(self) -> None:
        """Hang up."""
        if self._reading is not None:
            self._reading.cancel()
        for writer in (self._stream, self._sending and self._sending[1]):
            if writer is not None:
                writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        name = ""
        while line := await reader.readline():
            if line.startswith(b"event: "):
                name = line[7:].strip().decode()
            elif line.startswith(b"data: "):
                self.events.put_nowait((name, json.loads(line[6:])))

    def _head(self, method: str, place: str, length: int) -> bytes:
        lines = [f"{method} /chat/{self.channel}/{place} HTTP/1.1", f"Host: {self.host}:{self.port}"]
        if self.token:
            lines.append(f"Authorization: Bearer {self.token}")
        if length:
            lines += ["Content-Type: application/json", f"Content-Length: {length}"]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()
