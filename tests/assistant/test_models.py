"""Real adapters against a provider on loopback, in each wire format."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from uuid import uuid4

import pytest
from tests.fakes.model_server import ModelServer, Reply

from metachat.domain.assistant import Answer, Answerer, AnswerRequest, Final, Profile, Question, Text, respond
from metachat.domain.assistant.model import (
    CredentialsRejected,
    ModelFailed,
    ModelRefusedRequest,
    ModelThrottled,
    ModelTimedOut,
    ModelUnreachable,
)
from metachat.domain.assistant.models.hosted import Hosted
from metachat.domain.knowledge import Passage
from metachat.foundation.ids import DocumentId
from metachat.foundation.outbound import Outbound

PACKAGE = "metachat.domain.assistant.models"
PROVIDERS = ["openai", "anthropic", "ollama"]
SHIPPING = Passage(
    chunk_id=7,
    document_id=DocumentId(uuid4()),
    document="shipping.md",
    page=None,
    heading="Delivery",
    text="Parcels to Austria arrive within 2 working days. Delivery costs €4.90.",
    language="en",
    position=0,
    similarity=0.9,
)
CITED = 'Parcels to Austria arrive within 2 working days [1: "arrive within 2 working days"].'


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture(scope="module", params=PROVIDERS)
def provider(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def answerer(provider: str) -> Answerer:
    """As a worker has it: once, for all profiles."""
    return Hosted(provider, Outbound(allowed_networks=["127.0.0.0/8"]))


@pytest.fixture
def profile(provider: str, server: ModelServer) -> Profile:
    address = server.anthropic_url if provider == "anthropic" else server.openai_url
    return Profile(
        brand_name="Acme", provider="openai", model="scripted-1", base_url=address, api_key="sk-secret-key"
    )


def asked(profile: Profile) -> AnswerRequest:
    return AnswerRequest("When does my parcel arrive?", (SHIPPING,), "en", profile=profile)


async def answered(profile: Profile, answerer: Answerer) -> tuple[Answer, list[str]]:
    async def search(_: str, __: str | None) -> list[Passage]:
        return [SHIPPING]

    heard: list[str] = []
    question = Question("When does my parcel to Austria arrive?", profile=profile)
    return await respond(question, search=search, answerer=answerer, on_text=heard.append), heard


async def test_streams_what_the_model_says_and_counts_its_tokens(
    server: ModelServer, profile: Profile, answerer: Answerer
) -> None:
    server.script(Reply(CITED))
    pieces = [piece async for piece in answerer.answer(asked(profile))]
    assert "".join(piece.text for piece in pieces if isinstance(piece, Text)) == CITED
    assert len(pieces) > 3
    final = pieces[-1]
    assert isinstance(final, Final)
    assert (final.usage.input_tokens, final.usage.output_tokens) == (100, len(Reply(CITED).pieces))


async def test_the_customer_reads_numbers_and_gets_the_quote(
    server: ModelServer, profile: Profile, answerer: Answerer
) -> None:
    server.script(Reply(CITED))
    answer, heard = await answered(profile, answerer)
    assert answer.text == "Parcels to Austria arrive within 2 working days [1]."
    assert "".join(heard) == answer.text
    [citation] = answer.citations
    assert citation.quote == "arrive within 2 working days"
    assert (citation.chunk_id, citation.document, citation.heading) == (7, "shipping.md", "Delivery")
    assert set(answer.timings) == {"search", "first_token", "total"}


async def test_sends_rules_as_instructions_and_the_rest_as_data(
    server: ModelServer, profile: Profile, answerer: Answerer
) -> None:
    server.script(Reply(CITED))
    await answered(replace(profile, instructions="Be brief."), answerer)
    [sent] = server.requests
    assert "Acme" in sent.system
    assert "Be brief." in sent.system
    assert SHIPPING.text in sent.data
    assert SHIPPING.text not in sent.system


@pytest.mark.parametrize(
    ("reply", "named"),
    [
        (Reply("bad key sk-secret-key", status=401), CredentialsRejected),
        (Reply("forbidden", status=403), CredentialsRejected),
        (Reply("no such model", status=404), ModelRefusedRequest),
        (Reply("bad parameter", status=400), ModelRefusedRequest),
        (Reply("slow down", status=429), ModelThrottled),
        (Reply("broken", status=500), ModelUnreachable),
        (Reply("away", status=503), ModelUnreachable),
        (Reply(CITED, cut=2), ModelFailed),
        (Reply(CITED, garbled=1), ModelFailed),
    ],
)
async def test_names_each_failure(
    server: ModelServer, profile: Profile, answerer: Answerer, reply: Reply, named: type[ModelFailed]
) -> None:
    server.default = replace(reply, headers={"retry-after-ms": "5"})
    with pytest.raises(named) as failed:
        async for _ in answerer.answer(asked(profile)):
            pass
    assert "sk-secret-key" not in f"{failed.value.detail} {failed.value.facts}"


async def test_tries_once_more_before_it_gives_up(
    server: ModelServer, profile: Profile, answerer: Answerer
) -> None:
    server.script(Reply("broken", status=500, headers={"retry-after-ms": "5"}), Reply(CITED))
    answer, _ = await answered(profile, answerer)
    assert not answer.declined
    assert len(server.requests) == 2


async def test_gives_up_on_a_model_that_does_not_begin(
    server: ModelServer, profile: Profile, answerer: Answerer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from metachat.domain.assistant.models import asking

    monkeypatch.setattr(asking, "_FIRST_WORD", 0.2)
    server.default = Reply(CITED, first=5)
    with pytest.raises(ModelTimedOut):
        async for _ in answerer.answer(asked(profile)):
            pass


async def test_private_addresses_need_the_operators_leave(
    server: ModelServer, provider: str, profile: Profile
) -> None:
    guarded = Hosted(provider, Outbound())
    with pytest.raises(ModelUnreachable):
        async for _ in guarded.answer(asked(profile)):
            pass
    assert server.requests == []


async def test_a_model_must_be_named(server: ModelServer, profile: Profile, answerer: Answerer) -> None:
    with pytest.raises(ModelRefusedRequest):
        async for _ in answerer.answer(asked(replace(profile, model=""))):
            pass
    assert server.requests == []


async def test_another_answers_when_the_model_fails(
    server: ModelServer, profile: Profile, answerer: Answerer
) -> None:
    class Standby:
        async def answer(self, request: AnswerRequest) -> AsyncIterator[Text]:
            yield Text('Delivery costs €4.90 [1: "Delivery costs €4.90"].')

    async def search(_: str, __: str | None) -> list[Passage]:
        return [SHIPPING]

    server.default = Reply("bad", status=400)
    answer = await respond(
        Question("What does delivery cost?", profile=profile),
        search=search, answerer=answerer, fallback=Standby(), on_text=lambda _: None,
    )  # fmt: skip
    assert answer.text == "Delivery costs €4.90 [1]."


def test_a_process_that_asks_no_model_does_not_load_the_libraries() -> None:
    import subprocess
    import sys

    loaded = subprocess.run(
        [sys.executable, "-c", f"import sys, json, {PACKAGE}; print(json.dumps(list(sys.modules)))"],
        capture_output=True, check=True, text=True,
    )  # fmt: skip
    assert not {"pydantic_ai", "openai", "anthropic"} & set(json.loads(loaded.stdout))
