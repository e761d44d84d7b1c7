"""One reader's stream of Server-Sent Events: first what the database remembers, then the news.

Events: `message` (its id is the sequence number), `token` (a piece of an answer in the making, at an
offset in characters), `state`. News of a message mostly carries it. News may get lost or doubled; the
stream puts that right by reading the database again, so that the reader sees each message once and in
order, and tokens without a gap.
"""

import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec

from metachat.domain import conversations
from metachat.domain.conversations import Draft, Message
from metachat.foundation.db import Database
from metachat.foundation.realtime import Subscription
from metachat.web.chat import wire
from metachat.web.chat.http import Receive, Send
from metachat.web.chat.visitors import Visitor, scope_of

HEARTBEAT = 15.0
PAGE = 200
GONE: Mapping[str, Any] = {"type": "gone"}
# An answer's draft is saved a few times a second; reading it more often shows nothing new.
_REREAD_DRAFT_AFTER = 0.25


class Stream:
    """What a reader has been sent so far, and how to go on."""

    __slots__ = ("_database", "_done", "_draft", "_draft_length", "_reread_at", "_send", "_seq", "_visitor")

    def __init__(self, database: Database, visitor: Visitor, send: Send, after: int) -> None:
        self._database = database
        self._visitor = visitor
        self._send = send
        self._seq = after
        self._draft: str | None = None
        self._draft_length = 0
        self._done: str | None = None
        self._reread_at = 0.0

    async def follow(self, news: Subscription) -> None:
        """Send what is there and what comes, until the reader is gone; raises DatabaseAway."""
        await self._catch_up()
        while True:
            event = await news.next(within=HEARTBEAT)
            if event is None:
                await self._write(b": still here\n\n")
            elif event is GONE:
                return
            else:
                await self._take(event)

    async def _take(self, event: Mapping[str, Any]) -> None:
        match event.get("type"):
            case "token":
                await self._take_token(event["message"], event["offset"], event["text"])
            case "message":
                await self._take_message(event["seq"], event.get("message"))
            case "state":
                await self._event(b"state", {"state": event["state"]})
            case None:  # lost
                await self._catch_up()
            case _:
                return

    async def _catch_up(self) -> None:
        async with scope_of(self._database, self._visitor) as scope:
            conversation = await conversations.find(scope, self._visitor.conversation)
            draft = await conversations.find_draft(scope, self._visitor.conversation)
        await self._send_messages()
        await self._event(b"state", {"state": conversation.state})
        await self._send_draft(draft)

    async def _send_messages(self) -> None:
        while True:
            async with scope_of(self._database, self._visitor) as scope:
                page = await conversations.transcript(
                    scope, self._visitor.conversation, after=self._seq, limit=PAGE
                )
            if page:
                await self._show(page)
            if len(page) < PAGE:
                return

    async def _show(self, messages: list[Message]) -> None:
        for message in messages:
            self._seq = message.seq
            if message.author == "assistant":
                self._done, self._draft = str(message.id), None
        frames = [_frame(b"message", wire.said(message), message.seq) for message in messages]
        await self._write(b"".join(frames))

    async def _take_message(self, seq: int, carried: Any) -> None:
        if carried is not None and seq == self._seq + 1:
            await self._show([msgspec.convert(carried, Message)])
        elif seq > self._seq:  # too long to travel with its news, or one before it got lost
            await self._send_messages()

    async def _take_token(self, message: str, offset: int, text: str) -> None:
        if message == self._done:
            return
        if message != self._draft:
            self._draft, self._draft_length = message, 0
        if offset > self._draft_length and not await self._fill_gap(message, offset):
            return
        if offset + len(text) <= self._draft_length:
            return
        self._draft_length = offset + len(text)
        await self._event(b"token", {"message": message, "offset": offset, "text": text})

    async def _fill_gap(self, message: str, offset: int) -> bool:
        """Read the draft again for what was missed; False when it does not reach that far yet."""
        now = time.monotonic()
        if now < self._reread_at:
            return False
        self._reread_at = now + _REREAD_DRAFT_AFTER
        async with scope_of(self._database, self._visitor) as scope:
            draft = await conversations.find_draft(scope, self._visitor.conversation)
        if draft is None or draft.message_id != UUID(message):
            return False
        await self._send_draft(draft)
        return self._draft_length >= offset

    async def _send_draft(self, draft: Draft | None) -> None:
        if draft is None or str(draft.message_id) == self._done:
            return
        self._draft, self._draft_length = str(draft.message_id), len(draft.text)
        snapshot = {"message": self._draft, "offset": 0, "text": draft.text}
        await self._event(b"token", snapshot)

    async def _event(self, name: bytes, data: object) -> None:
        await self._write(_frame(name, data))

    async def _write(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})


async def watch(receive: Receive, news: Subscription) -> None:
    """Wait until the reader hangs up, and tell their stream."""
    message = await receive()
    while message["type"] != "http.disconnect":
        message = await receive()
    news.push(GONE)


def _frame(name: bytes, data: object, id: int | None = None) -> bytes:
    head = b"" if id is None else b"id: %d\n" % id
    # JSON has no raw line ends, so one data line holds it.
    return head + b"event: " + name + b"\ndata: " + msgspec.json.encode(data) + b"\n\n"
