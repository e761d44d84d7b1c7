"""Asks the assistant one question and waits for the whole answer: for programs and the command line."""

import asyncio
import time
from typing import Any, Protocol

import msgspec

from metachat.domain import channels, conversations
from metachat.domain.channels import Inbound
from metachat.domain.conversations import Message
from metachat.foundation.db import Database
from metachat.foundation.errors import Unavailable
from metachat.foundation.ids import ConversationId, TenantId, uuid7
from metachat.foundation.realtime import Listens
from metachat.foundation.scope import open_scope


class NoAnswerInTime(Unavailable):
    """No answer came in time; is the worker running?"""

    code = "no_answer_in_time"


class AssistantFailed(Unavailable):
    """The assistant cannot answer at the moment; its log says why."""

    code = "assistant_failed"


class Asking(Protocol):
    """What asking needs of the platform."""

    @property
    def database(self) -> Database:
        """The database of this process."""
        ...

    @property
    def listener(self) -> Listens:
        """The realtime news of this process."""
        ...


class CitedSource(msgspec.Struct, frozen=True):
    """What an answer rests on; score is the likeness of question and passage, from 0 to 1."""

    document: str
    page: int | None
    heading: str | None
    quote: str
    score: float


class Asked(msgspec.Struct, frozen=True):
    """An answer; timings are milliseconds, `total` from the question's arrival to the stored answer."""

    answer: str
    citations: list[CitedSource]
    declined: bool
    timings: dict[str, float]


async def ask(
    platform: Asking, tenant: TenantId, question: str, *, language: str | None = None, timeout: float = 30
) -> Asked:
    """Ask a tenant's assistant in a conversation of its own.

    Raises NoAnswerInTime, AssistantFailed, EmptyMessage.

    The api only stores the question; a worker answers it like any customer's.
    """
    began = time.perf_counter()
    database = platform.database
    async with open_scope(database, tenant, actor="visitor:ask") as scope:
        channel = await channels.test_channel(scope)
        contact = f"ask-{uuid7().hex}"
        id = (await conversations.start(scope, channel.id, contact, locale=language)).id
    async with platform.listener.subscribe(f"conversation:{id}") as news:
        async with open_scope(database, tenant, actor="visitor:ask") as scope:
            inbound = Inbound(channel.id, contact, provider_id=f"{id}:question", text=question)
            await conversations.receive_in(scope, id, inbound)
        try:
            async with asyncio.timeout(timeout):
                answer = await _answer(database, tenant, id, news)
        except TimeoutError as error:
            raise NoAnswerInTime(f"waited {timeout:g} seconds") from error
        finally:
            await _close(database, tenant, id)
    if "failed" in answer.detail:
        raise AssistantFailed(reason=answer.detail["failed"])
    return _asked(answer, (time.perf_counter() - began) * 1000)


async def _answer(database: Database, tenant: TenantId, id: ConversationId, news: Any) -> Message:
    while True:
        async with open_scope(database, tenant, actor="visitor:ask") as scope:
            for message in await conversations.transcript(scope, id):
                if message.author != "customer":
                    return message
        # Tokens say nothing to a caller who wants the whole; now and then we look without any news.
        while (event := await news.next(within=5)) is not None and event.get("type") == "token":
            continue


async def _close(database: Database, tenant: TenantId, id: ConversationId) -> None:
    async with open_scope(database, tenant, actor="visitor:ask") as scope:
        await conversations.end(scope, id)


def _asked(answer: Message, total: float) -> Asked:
    sources = [
        CitedSource(c["document"], c.get("page"), c.get("heading"), c["quote"], c.get("score", 0.0))
        for c in answer.citations
    ]
    timings = {**answer.detail.get("timings", {}), "total": round(total, 2)}
    # A system message says that a person was asked for: no answer of the assistant's.
    declined = answer.declined or answer.author == "system"
    return Asked(answer.text, sources, declined, timings)
