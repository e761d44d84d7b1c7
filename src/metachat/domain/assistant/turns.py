"""The job "turn": the assistant answers what a customer has asked, exactly once."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID

import msgspec

from metachat.domain import conversations
from metachat.domain.assistant import language as languages
from metachat.domain.assistant.actions import Search, note_failures, respond
from metachat.domain.assistant.drafting import Drafting, drafting
from metachat.domain.assistant.model import Answer, Answerer, Profile, Question, Turn
from metachat.domain.assistant.opening import Openings
from metachat.domain.conversations import Gathered, Opened, Reply
from metachat.domain.conversations.together.turns import Answers
from metachat.foundation.db import Database, DatabaseAway
from metachat.foundation.errors import Refusal
from metachat.foundation.ids import ConversationId, MessageId, TenantId
from metachat.foundation.log import log
from metachat.foundation.queue import Job, LeaseLost, finish
from metachat.foundation.scope import open_scope

# How long an answer may take, in seconds, before it is looked whether the customer writes more meanwhile.
_UNWATCHED = 0.05


@dataclass(frozen=True)
class Desk:
    """What a worker answers with.

    search_of gives the search in a tenant's documents, answerer_of what speaks for a profile. fallback
    speaks where that fails, None for nobody. patience is how many seconds one answer may take, restarts how
    often one turn begins anew because the customer wrote more. begun hears of each turn that begins,
    in calm answering of what is about to be said and under which id, ended of each turn that is over.
    """

    database: Database
    search_of: Callable[[TenantId], Search]
    profile_of: Callable[[TenantId, Mapping[str, Any] | None], Profile]
    answerer_of: Callable[[Profile], Answerer]
    fallback: Answerer | None = None
    patience: float = 60
    attempts: int = 4
    restarts: int = 2
    begun: Callable[[Gathered], None] | None = None
    answering: Callable[[Gathered, MessageId], None] | None = None
    ended: Callable[[ConversationId], None] | None = None

    @cached_property
    def openings(self) -> Openings:
        """Reads what turns answer."""
        return Openings(self.database)

    @cached_property
    def answers(self) -> Answers:
        """Commits what they answered."""
        return Answers(self.database)


async def take_turn(job: Job, desk: Desk) -> None:
    """Answer every open message of a conversation at once.

    Reads in one transaction, answers outside of any, commits in another: whoever dies in between leaves
    the messages open, and the turn is taken again. Only the first commit finds them open.

    What the customer writes before the first piece of the answer is out begins the turn anew, with it; what
    comes later is answered by the next turn.
    """
    assert job.tenant is not None
    id = ConversationId(UUID(job.payload["conversation"]))
    try:
        await _take_turn(job, desk, job.tenant, id)
    finally:
        if desk.ended is not None:
            desk.ended(id)


async def _take_turn(job: Job, desk: Desk, tenant: TenantId, id: ConversationId) -> None:
    known = None if job.brought is None else conversations.read_opened(job.brought)
    for left in reversed(range(desk.restarts + 1)):
        opened = await _open(job, desk, tenant, id, known)
        if opened is None:
            return
        known = None
        gathered, profile = opened
        async with drafting(desk.database, tenant, gathered) as draft:
            answering = _answer(job, desk, gathered, profile, draft)
            outcome = await (_unless_more_comes(job, desk, gathered, draft, answering) if left else answering)
        if outcome is not None:
            break
        await _quiet(job, gathered.quiet)
    assert outcome is not None, "the last try is not interrupted"
    if isinstance(outcome, Answer) and not outcome.failures:
        if desk.answering is not None and job.calm:
            desk.answering(gathered, draft.id)
        if not await desk.answers.give(job, gathered, draft.id, _reply(outcome)):
            raise LeaseLost(job.lane)
        return
    async with open_scope(desk.database, tenant, actor="worker") as scope:
        if isinstance(outcome, Answer):
            await conversations.answer(scope, gathered, draft.id, _reply(outcome))
            await note_failures(scope, outcome.failures)
        else:
            language = languages.detect(gathered.question)
            await conversations.apologise(scope, gathered, draft.id, reason=outcome, language=language)
        await finish(scope.db, job)


async def leave_to_people(job: Job, desk: Desk) -> None:
    """Tell the customer of a turn that is laid aside that a person will answer, and call for one."""
    assert job.tenant is not None
    opened = await desk.openings.open(job.tenant, ConversationId(UUID(job.payload["conversation"])))
    if opened is None or (gathered := opened.gathered) is None:
        return
    async with (
        drafting(desk.database, job.tenant, gathered) as draft,
        open_scope(desk.database, job.tenant, actor="worker") as scope,
    ):
        language = languages.detect(gathered.question)
        await conversations.apologise(scope, gathered, draft.id, reason="laid_aside", language=language)


async def _open(
    job: Job, desk: Desk, tenant: TenantId, id: ConversationId, known: Opened | None
) -> tuple[Gathered, Profile] | None:
    opened = known or await desk.openings.open(tenant, id)
    if opened is None:
        log.info("conversation was deleted before its turn", conversation=str(id))
        return None
    gathered = opened.gathered
    if gathered is not None and desk.begun is not None:
        desk.begun(gathered)
    if gathered is not None and gathered.asks and not _wants_person(gathered):
        return gathered, desk.profile_of(tenant, opened.assistant)
    async with open_scope(desk.database, tenant, actor="worker") as scope:
        if gathered is not None and not gathered.asks:
            await conversations.acknowledge(scope, gathered)
        elif gathered is not None:
            await conversations.pass_on(scope, gathered, language=languages.detect(gathered.question))
        await finish(scope.db, job)
    return None


async def _unless_more_comes(
    job: Job, desk: Desk, gathered: Gathered, draft: Drafting, answer: Coroutine[Any, Any, Answer | str]
) -> Answer | str | None:
    """Gives the answer; None when it was dropped, since there is more to answer and nothing was said yet."""
    watch = _Watch(lambda: _more_comes(job, desk, gathered, draft), draft)
    # Many an answer is there before anybody writes more; what comes all the same is not forgotten.
    begin = asyncio.get_running_loop().call_later(_UNWATCHED, watch.begin)
    try:
        return await answer
    except asyncio.CancelledError:
        if watch.drops():
            return None
        raise
    finally:
        begin.cancel()
        await watch.end()


class _Watch:
    """Interrupts the task that it was made in when more comes before anything was said."""

    def __init__(self, more: Callable[[], Awaitable[None]], draft: Drafting) -> None:
        self._more = more
        self._draft = draft
        self._interrupted = asyncio.current_task()
        self._watching: asyncio.Task[None] | None = None
        self._dropped = False

    def begin(self) -> None:
        """Look for more from now on."""
        self._watching = asyncio.create_task(self._look(), name="more comes")

    async def _look(self) -> None:
        await self._more()
        if self._interrupted is not None and not self._draft.text:
            self._dropped = self._interrupted.cancel()

    def drops(self) -> bool:
        """Tell whether this interrupted the task, and nobody else did."""
        task = self._interrupted
        return self._dropped and task is not None and task.uncancel() == 0

    async def end(self) -> None:
        """Interrupt nothing any more."""
        self._interrupted = None
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)


async def _more_comes(job: Job, desk: Desk, gathered: Gathered, draft: Drafting) -> None:
    """Wait until the conversation holds something else to answer, or it is too late to care."""
    assert job.tenant is not None
    while not draft.text:
        await job.lease.news.wait()
        job.lease.news.clear()
        async with open_scope(desk.database, job.tenant, actor="worker") as scope:
            again = await conversations.gather(scope, gathered.conversation.id)
        if again is None or again.unanswered != gathered.unanswered:
            return


async def _quiet(job: Job, seconds: float) -> None:
    """Wait until nothing more has come for so long; not for ever."""
    with contextlib.suppress(TimeoutError):
        for _ in range(conversations.LONGEST_BURST):
            async with asyncio.timeout(seconds):
                await job.lease.news.wait()
            job.lease.news.clear()


def _wants_person(gathered: Gathered) -> bool:
    return any(conversations.asks_for_person(message.text) for message in gathered.unanswered)


async def _answer(
    job: Job, desk: Desk, gathered: Gathered, profile: Profile, draft: Drafting
) -> Answer | str:
    """Gives the answer, or the code of what prevents one."""
    if job.attempts >= desk.attempts:
        return "failed_repeatedly"
    conversation = gathered.conversation
    question = Question(
        text=gathered.question,
        history=tuple(Turn(said.author, said.text) for said in gathered.history if said.author != "system"),
        profile=profile,
        language=conversation.language or conversation.locale,
        tenant=conversation.tenant_id,
    )
    try:
        async with asyncio.timeout(desk.patience):
            return await respond(
                question,
                search=desk.search_of(conversation.tenant_id),
                answerer=desk.answerer_of(profile),
                on_text=draft.say,
                on_restart=draft.restart,
                fallback=desk.fallback,
            )
    except DatabaseAway:
        raise
    except (Refusal, TimeoutError) as failure:
        reason = failure.code if isinstance(failure, Refusal) else "answer_timed_out"
        log.warning("no answer could be made", reason=reason, detail=str(failure)[:300])
        return reason


def _reply(answer: Answer) -> Reply:
    detail: dict[str, Any] = {"timings": answer.timings, "usage": msgspec.to_builtins(answer.usage)}
    return Reply(
        answer.text,
        citations=[msgspec.to_builtins(citation) for citation in answer.citations],
        declined=answer.declined,
        language=answer.language,
        detail=detail,
    )
