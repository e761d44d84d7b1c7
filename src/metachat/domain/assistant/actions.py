"""Answering a question: search, answer, prove, and only then show."""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from metachat.domain import events
from metachat.domain.assistant import language as languages
from metachat.domain.assistant import phrases, prompt, store, words
from metachat.domain.assistant.gate import Gate
from metachat.domain.assistant.model import (
    Answer,
    Answerer,
    AnswerRequest,
    Citation,
    Claim,
    Failed,
    Fallback,
    Health,
    HealthTotal,
    ModelFailed,
    ModelRests,
    Profile,
    Question,
    Text,
    Usage,
)
from metachat.domain.knowledge import Passage
from metachat.foundation.db import Database
from metachat.foundation.ids import TenantId
from metachat.foundation.keyring import Keyring
from metachat.foundation.log import log
from metachat.foundation.scope import Scope

Search = Callable[[str, str | None], Awaitable[list[Passage]]]
_FEWEST_WORDS_ALONE = 2
_LONGEST_LOOK = 1_000


async def respond(
    question: Question,
    *,
    search: Search,
    answerer: Answerer,
    on_text: Callable[[str], None],
    on_restart: Callable[[], None] = lambda: None,
    fallback: Answerer | None = None,
) -> Answer:
    """Answers from the passages that `search` finds, giving each proven piece of text to `on_text` at once.

    The pieces joined are the answer's text; `on_restart` says that it begins anew with the next piece, for
    another model took over. When all models fail, what the first of them said stands; where none has said
    anything, fallback answers, and without one, ModelFailed is raised. Holds no transaction: search opens
    and closes its own.
    """
    speech = _Speech(on_text, on_restart)
    language = languages.of_answer(question)
    courtesy = phrases.courtesy(question.text, language, question.profile.brand_name)
    if courtesy is not None:
        speech.say(courtesy)
        return speech.answer(language, declined=False)
    request = await _retrieve(question, language, search, speech)
    try:
        await _speak(request, answerer, speech)
    except ModelFailed as failure:
        speech.recall()
        if fallback is None and not speech.text:
            raise
        log.warning("assistant.model_failed", reason=failure.code, detail=failure.detail)
        if fallback is not None and not speech.text:
            await _speak(request, fallback, speech)
    declined = not speech.text
    if declined:
        speech.say(phrases.declined(language))
    return speech.answer(language, declined=declined)


def foreseeable(text: str) -> tuple[str, str | None] | None:
    """What `respond` will search for where this is all that somebody asks, and in which language.

    None where that depends on what was said before.
    """
    language = languages.detect(text)
    return (text, language) if _stands_alone(text, language) else None


async def profile(scope: Scope, key: Keyring) -> Profile:
    """Tells how the tenant's assistant presents itself; key unseals its provider's key."""
    return await store.profile(scope, key)


def unsealed(tenant: TenantId, key: Keyring, settled: Mapping[str, Any] | None) -> Profile:
    """Makes a profile of what a turn has found settled (`conversations.Opened.assistant`)."""
    return store.unsealed(tenant, key, settled)


async def set_profile(scope: Scope, key: Keyring, settled: Profile) -> None:
    """Settles how the tenant's assistant presents itself; its provider's key is kept sealed."""
    await store.save(scope, key, settled)
    await events.record(scope, "assistant.changed", provider=settled.provider, model=settled.model)


async def set_fallbacks(scope: Scope, key: Keyring, wanted: Sequence[Fallback]) -> None:
    """Settles which models speak, in this order, where the assistant's own fails."""
    before = await store.profile(scope, key)
    await set_profile(scope, key, replace(before, fallbacks=with_keys(before.fallbacks, wanted)))


def with_keys(before: Sequence[Fallback], wanted: Sequence[Fallback]) -> tuple[Fallback, ...]:
    """Gives each fallback that comes without a key the one that was stored at its place.

    A key belongs to where it is sent: another provider or address never gets it.
    """
    kept = {(place, one.provider, one.base_url): one.api_key for place, one in enumerate(before)}
    return tuple(
        one if one.api_key else replace(one, api_key=kept.get((place, one.provider, one.base_url)))
        for place, one in enumerate(wanted)
    )


async def health(scope: Scope) -> list[Health]:
    """Tells of the tenant's models that have failed, those that failed last first."""
    return await store.health(scope)


async def health_totals(database: Database) -> list[HealthTotal]:
    """Tells operators how the models of all tenants fare, by provider; raises DatabaseAway."""
    async with database.transaction() as db:
        return await store.health_totals(db)


async def note_failures(scope: Scope, failures: Iterable[Failed]) -> None:
    """Keeps for the tenant's staff which of their models failed, and tells when one is left alone."""
    for failed in failures:
        if failed.code == ModelRests.code:
            continue
        await store.note_failure(scope, failed)
        if failed.rests_for:
            rests = {"provider": failed.provider, "endpoint": failed.endpoint, "reason": failed.code}
            await events.record(scope, "assistant.model_rests", **rests)


async def _retrieve(question: Question, language: str, search: Search, speech: "_Speech") -> AnswerRequest:
    asked = _standing_alone(question)
    passages = await search(asked, languages.detect(asked))
    speech.timings["search"] = speech.elapsed()
    return AnswerRequest(
        question=asked,
        passages=tuple(passages),
        language=language,
        history=question.history,
        profile=question.profile,
        tenant=question.tenant,
    )


def _standing_alone(question: Question) -> str:
    if _stands_alone(question.text, languages.detect(question.text)):
        return question.text
    before = [turn.text for turn in question.history if turn.author == "customer"]
    return "\n".join([*before[-1:], question.text])


def _stands_alone(text: str, language: str | None) -> bool:
    # "And to Austria?" means nothing without the question before it.
    return len(words.content_words(text[:_LONGEST_LOOK], language or "en")) >= _FEWEST_WORDS_ALONE


async def _speak(request: AnswerRequest, answerer: Answerer, speech: "_Speech") -> None:
    gate = _gate(request, speech)
    async for piece in answerer.answer(request):
        match piece:
            case Text(text):
                speech.say(gate.feed(text))
            case Claim():
                speech.say(gate.claim(piece))
            case Failed():
                speech.fail(piece)
                gate = _gate(request, speech)
            case _:
                speech.usage = piece.usage
    speech.say(gate.close())


def _gate(request: AnswerRequest, speech: "_Speech") -> Gate:
    gate = Gate(request, secrets=prompt.unrepeatable(request))
    speech.begin(gate.citations)
    return gate


@dataclass(slots=True)
class _Speech:
    """What was said so far, and when; `broken` is what a model said that then failed."""

    on_text: Callable[[str], None]
    on_restart: Callable[[], None]
    text: str = ""
    citations: list[Citation] = field(default_factory=list)
    broken: tuple[str, list[Citation]] | None = None
    failures: list[Failed] = field(default_factory=list)
    usage: Usage = field(default_factory=lambda: Usage("none"))
    timings: dict[str, float] = field(default_factory=dict)
    began: float = field(default_factory=time.perf_counter)
    _shown: bool = False

    def begin(self, citations: list[Citation]) -> None:
        self.text, self.citations = "", citations

    def say(self, text: str) -> None:
        if text:
            self.timings.setdefault("first_token", self.elapsed())
            if self._shown and not self.text:
                self.on_restart()
            self._shown = True
            self.text += text
            self.on_text(text)

    def fail(self, failed: Failed) -> None:
        self.failures.append(failed)
        self.broken = self.broken or ((self.text, self.citations) if self.text else None)

    def recall(self) -> None:
        if self.broken and not self.text:
            self.text, self.citations = self.broken

    def elapsed(self) -> float:
        return round((time.perf_counter() - self.began) * 1000, 2)

    def answer(self, language: str, *, declined: bool) -> Answer:
        self.timings["total"] = self.elapsed()
        return Answer(
            self.text, tuple(self.citations), declined, language, self.usage, self.timings,
            tuple(self.failures),
        )  # fmt: skip
