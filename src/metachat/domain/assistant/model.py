"""What an assistant is asked, what it may say, and what an answer is made of."""

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Literal, Protocol
from uuid import UUID

from metachat.domain.knowledge import Passage
from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.ids import TenantId

Tone = Literal["friendly", "professional", "casual", "formal", "enthusiastic", "empathetic"]
Provider = Literal["extractive", "openai", "anthropic", "ollama"]


@dataclass(frozen=True, slots=True)
class Fallback:
    """A model that is asked where the ones before it fail; None and "" as in Profile."""

    provider: Provider
    model: str
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Profile:
    """How a tenant's assistant presents itself, and which model speaks for it.

    brand_name "" means that no brand is named. answer_language None means the customer's own.
    instructions are the tenant's own words to the model, trusted unlike documents and messages.
    model, base_url, api_key, temperature and max_tokens are the provider's; None means its default.
    fallbacks speak in this order where the model fails.
    """

    brand_name: str = ""
    tone: Tone = "friendly"
    answer_language: str | None = None
    instructions: str = ""
    provider: Provider = "extractive"
    model: str = ""
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    temperature: float | None = None
    max_tokens: int | None = None
    fallbacks: tuple[Fallback, ...] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    """One earlier message of the conversation."""

    author: Literal["customer", "assistant", "agent"]
    text: str


@dataclass(frozen=True, slots=True)
class Question:
    """What a customer wants to know: the unanswered messages as one text, and what was said before.

    history is in order, oldest first. language is a hint (the contact's locale), used where the text
    itself does not tell. tenant is whose question it is, None in trials without one.
    """

    text: str
    history: tuple[Turn, ...] = ()
    profile: Profile = Profile()
    language: str | None = None
    tenant: TenantId | None = None


@dataclass(frozen=True, slots=True)
class AnswerRequest:
    """A question with the passages that may answer it; language is that of the answer.

    nonce is unguessable and new for each request: it marks where data begins and ends in a prompt, and
    betrays a model that repeats its instructions.
    """

    question: str
    passages: tuple[Passage, ...]
    language: str
    history: tuple[Turn, ...] = ()
    profile: Profile = Profile()
    tenant: TenantId | None = None
    nonce: str = field(default_factory=lambda: secrets.token_hex(8))


@dataclass(frozen=True, slots=True)
class Source:
    """Words of a passage, by its number (from 1) in the request; quote "" means the passage as a whole."""

    number: int
    quote: str


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of a model's raw output, citations as markup within it."""

    text: str


@dataclass(frozen=True, slots=True)
class Claim:
    """One whole statement with its sources."""

    text: str
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Usage:
    """What an answer cost; tokens are 0 where no model was asked."""

    provider: str
    model: str = ""
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Final:
    """The end of an answer."""

    usage: Usage


@dataclass(frozen=True, slots=True)
class Failed:
    """A model failed on the way, and is left alone for rests_for seconds; another one begins anew."""

    provider: str
    endpoint: str
    code: str
    rests_for: float


Piece = Text | Claim | Final | Failed


class Answerer(Protocol):
    """One way to answer: a model provider, or the built-in extractive one."""

    def answer(self, request: AnswerRequest) -> AsyncIterator[Piece]:
        """Gives the pieces of an answer as they come, a Final last; raises ModelFailed."""
        ...


@dataclass(frozen=True, slots=True)
class Citation:
    """Words of a document that an answer rests on; the quote occurs in that chunk's text."""

    chunk_id: int
    document_id: UUID
    document: str
    page: int | None
    heading: str | None
    quote: str
    score: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What the customer reads; "[1]" in the text is the first of citations.

    declined: the documents did not answer, and the text offers a person. timings are milliseconds:
    search, first_token (from the question to the first text), total. failures are the models that did not
    answer before the one that did.
    """

    text: str
    citations: tuple[Citation, ...]
    declined: bool
    language: str
    usage: Usage
    timings: dict[str, float]
    failures: tuple[Failed, ...] = ()


@dataclass(frozen=True, slots=True)
class Health:
    """What is known of a model that has failed; resting_until None or past means that it is asked."""

    provider: str
    endpoint: str
    failures: int
    last_code: str
    failed_at: datetime
    resting_until: datetime | None


@dataclass(frozen=True, slots=True)
class HealthTotal:
    """How often a provider's models failed, for all tenants together, and how many of them rest now."""

    provider: str
    failures: int
    resting: int


class ModelFailed(Refusal):
    """The assistant's model could not answer."""

    code: ClassVar[str] = "model_failed"
    kind: ClassVar[Kind] = Kind.UNAVAILABLE


class ModelUnreachable(ModelFailed):
    """The assistant's model cannot be reached; try again in a moment."""

    code = "model_unreachable"


class ModelTimedOut(ModelFailed):
    """The assistant's model took too long to answer."""

    code = "model_timed_out"


class ModelRests(ModelFailed):
    """The assistant's model has failed too often lately, and is left alone for a moment."""

    code = "model_rests"


class ModelThrottled(ModelFailed):
    """The assistant's model is asked too often right now, or its budget is spent."""

    code, kind = "model_throttled", Kind.THROTTLED


class CredentialsRejected(ModelFailed):
    """The model provider does not accept the assistant's key; enter a valid one."""

    code, kind = "model_credentials_rejected", Kind.INVALID


class ModelRefusedRequest(ModelFailed):
    """The model provider refused the request; check the model's name and settings."""

    code, kind = "model_refused_request", Kind.INVALID


class ModelGarbled(ModelFailed):
    """The assistant's model answered with something that cannot be read."""

    code = "model_garbled"


class ProviderUnknown(Refusal):
    """This assistant names a model provider that is not installed."""

    code, kind = "provider_unknown", Kind.INVALID
