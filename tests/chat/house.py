"""A small house to chat in: the real door on a real socket, a real worker, and a scripted assistant."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import uvicorn

from metachat.domain import channels
from metachat.domain.assistant import Answerer, AnswerRequest, Claim, Final, Piece, Profile, Source, Usage
from metachat.domain.assistant.turns import Desk, take_turn
from metachat.domain.channels import Channel
from metachat.domain.knowledge import Passage
from metachat.foundation.announcing import Announcer
from metachat.foundation.db import Database
from metachat.foundation.ids import DocumentId, TenantId, uuid7
from metachat.foundation.queue import Limits as QueueLimits
from metachat.foundation.queue import Loop
from metachat.foundation.realtime import Listener
from metachat.foundation.scope import open_scope
from metachat.foundation.settings import Secret
from metachat.web.chat import ChatDoor, Limits

SECRET = Secret("s" * 40)
FACTS = (
    "Delivery to Austria takes two working days.",
    "Returns are free within thirty days.",
    "The warranty lasts five years.",
)


def passage() -> Passage:
    """The one passage that the scripted search finds."""
    return Passage(
        chunk_id=1,
        document_id=DocumentId(uuid7()),
        document="shipping.md",
        page=None,
        heading="Delivery",
        text=" ".join(FACTS),
        language="en",
        position=0,
        score=0.03,
        similarity=0.9,
        lexical=0.5,
    )


@dataclass
class Scripted:
    """An answerer that says the facts one by one; `pause` seconds before each; `failure` is raised first."""

    pause: float = 0.0
    failure: Exception | None = None
    asked: list[str] = field(default_factory=list)

    async def answer(self, request: AnswerRequest) -> AsyncIterator[Piece]:
        """Say the script."""
        self.asked.append(request.question)
        if self.failure is not None:
            raise self.failure
        for fact in FACTS:
            if self.pause:
                await asyncio.sleep(self.pause)
            yield Claim(fact, (Source(1, fact),))
        yield Final(Usage("scripted"))


def desk(database: Database, answerer: Answerer, **changes: Any) -> Desk:
    """A desk whose search always finds the one passage."""

    async def search(_question: str, _language: str | None) -> list[Passage]:
        return [passage()]

    return Desk(
        database,
        search_of=lambda _tenant: search,
        profile_of=lambda _tenant, _settled: Profile(),
        answerer_of=lambda _profile: answerer,
        **changes,
    )


@asynccontextmanager
async def working(dsn: str, make_desk: Callable[[Database], Desk]) -> AsyncIterator[Loop[Desk]]:
    """A worker in this process, until this is left."""
    announcer, listener = Announcer(dsn), Listener(dsn)
    announcer.start()
    listener.start()
    database = await Database.open(dsn, size=5, announcer=announcer)
    loop = Loop(database, listener, {"turn": take_turn}, make_desk(database), QueueLimits(sweep=1, drain=1))
    stop = asyncio.Event()
    task = asyncio.create_task(loop.run(stop))
    try:
        yield loop
    finally:
        stop.set()
        await task
        await listener.close()
        await announcer.close()
        await database.close()


@asynccontextmanager
async def door_open(dsn: str, limits: Limits | None = None) -> AsyncIterator[str]:
    """The chat's door on a socket; gives its address."""
    announcer, listener = Announcer(dsn), Listener(dsn)
    announcer.start()
    listener.start()
    database = await Database.open(dsn, size=5, announcer=announcer)
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        ChatDoor(database, listener, SECRET, limits),
        lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    with contextlib.suppress(KeyboardInterrupt):
        task = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task
    await listener.close()
    await announcer.close()
    await database.close()


async def open_channel(database: Database, tenant: TenantId, **settings: Any) -> Channel:
    """A web chat of a tenant."""
    async with open_scope(database, tenant, actor="cli") as scope:
        return await channels.create(scope, "webchat", "Shop", settings)


@dataclass
class Event:
    """One Server-Sent Event; id None where it has none."""

    name: str
    data: dict[str, Any]
    id: str | None


class Visitor:
    """A customer in front of the chat."""

    def __init__(self, base: str, channel: Channel, **headers: str) -> None:
        self.http = httpx.AsyncClient(base_url=f"{base}/chat/{channel.id}", headers=headers, timeout=20)
        self.session: dict[str, Any] = {}
        self.reading_port = 0

    async def begins(self, **body: Any) -> "Visitor":
        """Begin a session."""
        response = await self.http.post("/sessions", json=body, headers=self._bearer())
        assert response.status_code == 201, response.text
        self.session = response.json()
        return self

    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.session['token']}"} if self.session else {}

    async def says(self, text: str, key: str | None = None) -> httpx.Response:
        """Send a message."""
        body = {"text": text, "client_key": key or uuid4().hex}
        return await self.http.post("/messages", json=body, headers=self._bearer())

    async def posts(self, path: str, **more: Any) -> httpx.Response:
        """Send anything."""
        return await self.http.post(path, headers=self._bearer(), **more)

    async def gets(self, path: str) -> httpx.Response:
        """Read anything."""
        return await self.http.get(path, headers=self._bearer())

    async def history(self) -> list[dict[str, Any]]:
        """Read the transcript."""
        items: list[dict[str, Any]] = (await self.gets("/messages")).json()["items"]
        return items

    @asynccontextmanager
    async def reads(self, after: int | None = None) -> AsyncIterator[AsyncIterator[Event]]:
        """Open the stream of events."""
        headers = self._bearer() | ({} if after is None else {"Last-Event-ID": str(after)})
        async with self.http.stream("GET", "/events", headers=headers) as response:
            assert response.status_code == 200, await response.aread()
            self.reading_port = response.extensions["network_stream"].get_extra_info("client_addr")[1]
            yield _events(response)

    async def hears(self, text: str, within: float = 10) -> list[Event]:
        """Send a message and read until its answer is complete."""
        heard: list[Event] = []
        async with asyncio.timeout(within), self.reads() as events:
            assert (await self.says(text)).status_code == 202
            async for event in events:
                heard.append(event)
                if event.name == "message" and event.data["author"] != "customer":
                    return heard
        raise AssertionError("the stream ended")

    async def leaves(self) -> None:
        """Hang up."""
        await self.http.aclose()


async def _events(response: httpx.Response) -> AsyncIterator[Event]:
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line == "" and fields:
            yield Event(fields.get("event", ""), json.loads(fields["data"]), fields.get("id"))
            fields = {}
        elif line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value
