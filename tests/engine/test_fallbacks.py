"""Models that fail, hang and come back: who speaks instead, and who is left alone."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.assistant.test_models import CITED, SHIPPING
from tests.fakes.model_server import ModelServer, Reply

from metachat.domain.assistant import (
    Answer,
    Answerer,
    AnswerRequest,
    Fallback,
    Final,
    Piece,
    Profile,
    Question,
    Usage,
    respond,
)
from metachat.domain.assistant.model import ModelFailed, ModelTimedOut
from metachat.domain.assistant.models import Chain, answerers
from metachat.domain.assistant.models.breaker import Breaker, Breakers, Habits
from metachat.domain.assistant.models.chain import Patience
from metachat.domain.knowledge import Passage
from metachat.foundation.ids import TenantId, uuid7
from metachat.foundation.outbound import Outbound

OTHER = 'Delivery costs €4.90 [1: "Delivery costs €4.90"].'
QUICK = {"retry-after-ms": "1"}


@pytest.fixture
def first() -> Iterator[ModelServer]:
    """The tenant's own model."""
    with ModelServer() as server:
        yield server


@pytest.fixture
def second() -> Iterator[ModelServer]:
    """Its fallback."""
    with ModelServer(default=Reply(OTHER)) as server:
        yield server


@pytest.fixture
def profile(first: ModelServer, second: ModelServer) -> Profile:
    """A tenant that has both."""
    standby = Fallback("anthropic", "small", second.anthropic_url, "sk-two")
    return Profile(
        provider="openai", model="big", base_url=first.openai_url, api_key="sk-one", fallbacks=(standby,)
    )


def chain(breakers: Breakers | None = None, patience: Patience = Patience()) -> Chain:  # noqa: B008
    """The platform's own chain, with real adapters."""
    models = answerers(_NoEmbedder(), Outbound(allowed_networks=["127.0.0.0/8"]))
    return Chain(models, breakers, patience)


class _NoEmbedder:
    name, dimension = "none", 1

    async def embed_query(self, text: str) -> Any:
        raise AssertionError(text)

    async def embed_passages(self, texts: Any) -> Any:
        raise AssertionError(texts)


class Reader:
    """What somebody sees who reads along."""

    def __init__(self) -> None:
        self.seen = [""]

    def reads(self, text: str) -> None:
        """See a piece."""
        self.seen[-1] += text

    def starts_anew(self) -> None:
        """See the draft replaced."""
        self.seen.append("")


async def answered(
    profile: Profile, answerer: Answerer, *, tenant: TenantId | None = None, **options: Any
) -> tuple[Answer, list[str]]:
    """Ask once."""

    async def search(_: str, __: str | None) -> list[Passage]:
        return [SHIPPING]

    reader = Reader()
    question = Question("When does my parcel to Austria arrive?", profile=profile, tenant=tenant)
    answer = await respond(
        question, search=search, answerer=answerer, on_text=reader.reads, on_restart=reader.starts_anew,
        **options,
    )  # fmt: skip
    return answer, reader.seen


async def test_the_next_model_speaks_where_the_first_fails(
    first: ModelServer, second: ModelServer, profile: Profile
) -> None:
    first.default = Reply("broken", status=500, headers=QUICK)
    answer, seen = await answered(profile, chain())
    assert answer.text == "Delivery costs €4.90 [1]."
    assert seen == [answer.text]
    assert (answer.usage.provider, answer.usage.model) == ("anthropic", "small")
    [failed] = answer.failures
    assert (failed.provider, failed.code, failed.rests_for) == ("openai", "model_unreachable", 0.0)
    assert len(first.requests) == 2, "where nothing was said it is tried once more"
    sent = str(second.requests[0].headers)
    assert "sk-two" in sent
    assert "sk-one" not in sent, "each key goes to its own provider only"


async def test_what_a_model_said_before_it_broke_off_is_replaced(
    first: ModelServer, second: ModelServer, profile: Profile
) -> None:
    first.default = Reply(f"{CITED} And then it goes on {'and on ' * 20}", cut=12)
    answer, seen = await answered(profile, chain())
    assert answer.text == "Delivery costs €4.90 [1]."
    assert seen == ["Parcels to Austria arrive within 2 working days [1].", answer.text]
    assert [citation.quote for citation in answer.citations] == ["Delivery costs €4.90"]
    assert len(first.requests) == 1, "nobody hears the same twice"


async def test_what_was_proven_stands_when_every_model_breaks_off(
    first: ModelServer, second: ModelServer, profile: Profile
) -> None:
    first.default = Reply(f"{CITED} And then it goes on {'and on ' * 20}", cut=12)
    second.default = Reply("broken", status=500, headers=QUICK)
    answer, seen = await answered(profile, chain(), fallback=_Never())
    assert answer.text == "Parcels to Austria arrive within 2 working days [1]."
    assert seen == [answer.text]
    assert [failed.provider for failed in answer.failures] == ["openai", "anthropic"]


async def test_the_first_models_failure_is_told_when_all_fail(
    first: ModelServer, second: ModelServer, profile: Profile
) -> None:
    first.default = Reply("bad key", status=401)
    second.default = Reply("broken", status=500, headers=QUICK)
    with pytest.raises(ModelFailed) as failed:
        await answered(profile, chain())
    assert failed.value.code == "model_credentials_rejected"


@pytest.mark.parametrize(
    ("reply", "patience"),
    [
        (Reply(CITED, first=3), Patience(first_of_several=0.3)),
        (Reply(f"{CITED} {'and on ' * 200}", each=0.2), Patience(whole=2)),
    ],
)
async def test_a_model_that_hangs_is_not_waited_for(
    first: ModelServer, profile: Profile, reply: Reply, patience: Patience
) -> None:
    # The first question of a process also loads the libraries of both providers.
    first.default = Reply("broken", status=500, headers=QUICK)
    await answered(profile, chain())
    first.default = reply
    async with asyncio.timeout(60):
        answer, _ = await answered(profile, chain(patience=patience))
    assert answer.text == "Delivery costs €4.90 [1]."
    assert answer.failures[0].code == ModelTimedOut.code


async def test_a_model_that_keeps_failing_is_left_alone_and_tried_again(
    first: ModelServer, second: ModelServer, profile: Profile
) -> None:
    now = [0.0]
    breakers = Breakers(Habits(failures=3, rest=10), clock=lambda: now[0])
    tenant, stranger = TenantId(uuid7()), TenantId(uuid7())
    models = chain(breakers)
    first.default = Reply("broken", status=500, headers=QUICK)
    for _ in range(3):
        await answered(profile, models, tenant=tenant)
    asked = len(first.requests)
    answer, _ = await answered(profile, models, tenant=tenant)
    assert len(first.requests) == asked, "it rests"
    assert (answer.failures[0].code, answer.failures[0].rests_for) == ("model_rests", 10)
    await answered(profile, models, tenant=stranger)
    assert len(first.requests) > asked, "another tenant's key may well work"
    first.default = Reply(CITED)
    now[0] = 11
    answer, _ = await answered(profile, models, tenant=tenant)
    assert answer.text.startswith("Parcels to Austria")
    answer, _ = await answered(profile, models, tenant=tenant)
    assert answer.failures == ()


async def test_a_refused_question_does_not_make_the_model_rest(first: ModelServer, profile: Profile) -> None:
    breakers = Breakers(Habits(failures=1))
    models = chain(breakers)
    first.script(Reply("no such model", status=404), Reply(CITED))
    answer, _ = await answered(profile, models)
    assert answer.failures[0].code == "model_refused_request"
    answer, _ = await answered(profile, models)
    assert answer.text.startswith("Parcels to Austria")
    assert len(breakers) == 0


class _Never:
    async def answer(self, request: AnswerRequest) -> AsyncIterator[Piece]:
        raise AssertionError("something was said already")
        yield Final(Usage("never"))


def test_one_question_at_a_time_tries_a_model_whose_rest_is_over() -> None:
    now = [0.0]
    breaker = Breaker(Habits(failures=2, rest=10, longest_rest=30), lambda: now[0])
    for _ in range(2):
        assert breaker.admit()
        breaker.failed()
    assert (breaker.state, breaker.admit()) == ("open", False)
    for rest in (10, 20, 30, 30):
        assert breaker.rests_for == rest
        now[0] += rest
        assert breaker.state == "half_open"
        assert [breaker.admit() for _ in range(3)] == [True, False, False]
        breaker.failed()
    now[0] += 30
    assert breaker.admit()
    breaker.let_go()
    assert breaker.admit()
    breaker.succeeded()
    assert (breaker.state, breaker.rests_for) == ("closed", 0)


def test_a_few_failures_among_many_answers_are_no_reason_to_rest() -> None:
    breaker = Breaker(Habits(failures=5, remembered=20), lambda: 0.0)
    for number in range(200):
        (breaker.failed if number % 3 == 0 else breaker.succeeded)()
    assert breaker.state == "closed"
    old = [0.0]
    slow = Breaker(Habits(failures=3, window=60), lambda: old[0])
    for _ in range(10):
        old[0] += 40
        slow.failed()
    assert slow.state == "closed", "failures of another hour"


def test_breakers_are_bounded() -> None:
    breakers = Breakers(capacity=10)
    for number in range(100):
        breakers.fail((None, "openai", str(number)))
    assert len(breakers) == 10
    assert breakers.find((None, "openai", "99")) is not None
    assert breakers.find((None, "openai", "1")) is None


def test_an_endpoints_name_holds_no_secret() -> None:
    from metachat.domain.assistant.models.chain import endpoint_of

    profile = Profile(provider="openai", model="m", base_url="https://me:hunter2@models.example/v1?key=abc")
    assert endpoint_of(profile) == "models.example/v1 m"
    assert endpoint_of(replace(profile, base_url=None)) == "m"
