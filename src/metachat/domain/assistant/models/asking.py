"""One question to one hosted model, streamed; its failures named."""

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from typing import cast

import httpx2
from pydantic_ai import exceptions
from pydantic_ai.direct import model_request_stream
from pydantic_ai.messages import (
    ModelRequest,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    UserPromptPart,
)
from pydantic_ai.models import Model
from pydantic_ai.settings import ModelSettings

from metachat.domain.assistant import prompt
from metachat.domain.assistant.model import (
    AnswerRequest,
    CredentialsRejected,
    Final,
    ModelFailed,
    ModelGarbled,
    ModelRefusedRequest,
    ModelThrottled,
    ModelTimedOut,
    ModelUnreachable,
    Piece,
    Profile,
    Text,
    Usage,
)
from metachat.foundation.outbound import Limits, Outbound, Unreachable

# Seconds: a customer waits. One more try after a failure that may pass; the platform's own answerer steps
# in after that.
_WHOLE, _FIRST_WORD, _TRIES_AFTER_FIRST = 45.0, 20.0, 1
_MOST_TOKENS = 1_024
# A worker asks for as many answers at a time as its settings let it.
_LIMITS = Limits(bytes=4 * 1024 * 1024, seconds=60.0, connections=2_000)
_KEPT_MODELS = 64

_NAMED: tuple[tuple[type[Exception], type[ModelFailed]], ...] = (
    (exceptions.ModelRateLimitError, ModelThrottled),
    (exceptions.ModelQuotaExceededError, ModelThrottled),
    (exceptions.ModelOverloadedError, ModelThrottled),
    (exceptions.ModelAuthenticationError, CredentialsRejected),
    (exceptions.ModelRequestRejectedError, ModelRefusedRequest),
    (exceptions.ModelTimeoutError, ModelTimedOut),
    (exceptions.ModelRequestTimeout, ModelTimedOut),
    (exceptions.ModelConnectionError, ModelUnreachable),
    (exceptions.ModelUnavailableError, ModelUnreachable),
    (exceptions.ModelServerError, ModelUnreachable),
    (exceptions.UnexpectedModelBehavior, ModelGarbled),
    (exceptions.UserError, ModelRefusedRequest),
    (httpx2.TimeoutException, ModelTimedOut),
    (httpx2.HTTPError, ModelUnreachable),
    (Unreachable, ModelUnreachable),
    (exceptions.AgentRunError, ModelGarbled),
    (ValueError, ModelGarbled),
)


class Asking:
    """Asks one provider's models; keeps the connections, and a model object for each tenant's settings."""

    def __init__(
        self, provider: str, outbound: Outbound, make: Callable[[Profile, httpx2.AsyncClient], Model]
    ) -> None:
        """Take how the provider's model is made for a profile; every connection is the guard's."""
        self._provider = provider
        self._make = make
        self._client = httpx2.AsyncClient(transport=outbound.transport(_LIMITS), timeout=_LIMITS.seconds)
        self._models: OrderedDict[tuple[str | None, ...], Model] = OrderedDict()

    async def answer(self, request: AnswerRequest) -> AsyncIterator[Piece]:
        """Stream the model's raw text, then what it used; raises ModelFailed."""
        messages = [
            ModelRequest(parts=[UserPromptPart(prompt.data(request))], instructions=prompt.rules(request))
        ]
        settings = _settings(request.profile)
        try:
            async with model_request_stream(
                self._model(request.profile), messages, model_settings=settings
            ) as stream:
                async for event in stream:
                    if text := _text_of(event):
                        yield Text(text)
                used = stream.usage
            yield Final(Usage(self._provider, request.profile.model, used.input_tokens, used.output_tokens))
        except tuple(cause for cause, _ in _NAMED) as failure:
            raise _named(failure) from failure

    def _model(self, profile: Profile) -> Model:
        if not profile.model:
            raise ModelRefusedRequest("No model is named in the assistant's settings.")
        key = (profile.model, profile.base_url, profile.api_key)
        if key not in self._models:
            self._models[key] = self._make(profile, self._client)
        self._models.move_to_end(key)
        while len(self._models) > _KEPT_MODELS:
            self._models.popitem(last=False)
        return self._models[key]


def _text_of(event: object) -> str:
    match event:
        case (
            PartStartEvent(part=TextPart(content=text))
            | PartDeltaEvent(delta=TextPartDelta(content_delta=text))
        ):
            return text
        case _:
            return ""


def _settings(profile: Profile) -> ModelSettings:
    chosen = {"temperature": profile.temperature} if profile.temperature is not None else {}
    return cast(
        ModelSettings,
        {
            **chosen,
            "max_tokens": profile.max_tokens or _MOST_TOKENS,
            "request_timeout": _WHOLE,
            "first_event_timeout": _FIRST_WORD,
            "max_retries": _TRIES_AFTER_FIRST,
        },
    )


def _named(failure: Exception) -> ModelFailed:
    refused: BaseException | None = failure
    while refused is not None and not isinstance(refused, Unreachable):
        refused = refused.__cause__ or refused.__context__
    if isinstance(refused, Unreachable):
        return ModelUnreachable(refused.detail)
    kind = next(named for cause, named in _NAMED if isinstance(failure, cause))
    status = getattr(failure, "status_code", None)
    # The provider's own words may hold a part of the key or of the prompt: only the status is kept.
    return kind(f"The provider answered with status {status}." if status else None)
