"""The tenant's models one after the other: where one fails or rests, the next one speaks."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import cast
from urllib.parse import urlsplit

from metachat.domain.assistant.model import (
    Answerer,
    AnswerRequest,
    Failed,
    ModelFailed,
    ModelRefusedRequest,
    ModelRests,
    ModelTimedOut,
    Piece,
    Profile,
    Provider,
)
from metachat.domain.assistant.models.breaker import Breakers, Key
from metachat.foundation.log import log


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds that one model is given: to its first piece (fewer where another one waits), and in all."""

    first: float = 20.0
    first_of_several: float = 10.0
    whole: float = 45.0


class Chain:
    """Asks a profile's model, then its fallbacks; nobody is asked twice for the same answer."""

    def __init__(
        self,
        answerers: Mapping[Provider, Answerer],
        breakers: Breakers | None = None,
        patience: Patience = Patience(),
    ) -> None:
        self._answerers = answerers
        self._breakers = Breakers() if breakers is None else breakers
        self._patience = patience

    async def answer(self, request: AnswerRequest) -> AsyncIterator[Piece]:
        """Give the pieces of the first model that answers to the end.

        A Failed piece takes back what came before it. Raises the first model's ModelFailed when all fail.
        """
        first_failure: ModelFailed | None = None
        profiles = speakers(request.profile)
        for profile in profiles:
            asked = replace(request, profile=profile)
            try:
                async with aclosing(self._ask(asked, is_last=profile is profiles[-1])) as pieces:
                    async for piece in pieces:
                        yield piece
                return
            except ModelFailed as failure:
                first_failure = first_failure or failure
                yield self._told(asked, failure)
        assert first_failure is not None, "a profile names at least one model"
        raise first_failure

    async def _ask(self, request: AnswerRequest, *, is_last: bool) -> AsyncGenerator[Piece]:
        key = _key(request)
        breaker = self._breakers.find(key)
        tries = breaker is not None and breaker.state == "half_open"
        if breaker is not None and not breaker.admit():
            raise ModelRests(f"It is asked again in {breaker.rests_for:.0f} s.")
        try:
            async for piece in self._paced(request, is_last=is_last):
                yield piece
        except ModelRefusedRequest:
            # It is there and reads what it is asked; the question or the settings are wrong.
            raise
        except ModelFailed:
            self._breakers.fail(key)
            raise
        else:
            if (breaker := self._breakers.find(key)) is not None:
                breaker.succeeded()
        finally:
            if breaker is not None and tries:
                breaker.let_go()

    async def _paced(self, request: AnswerRequest, *, is_last: bool) -> AsyncGenerator[Piece]:
        loop = asyncio.get_running_loop()
        first = self._patience.first if is_last else self._patience.first_of_several
        whole = loop.time() + self._patience.whole
        deadline = min(loop.time() + first, whole)
        answering = cast("AsyncGenerator[Piece]", self._answerers[request.profile.provider].answer(request))
        async with aclosing(answering) as pieces:
            while True:
                try:
                    async with asyncio.timeout_at(deadline):
                        piece = await anext(pieces, None)
                except TimeoutError as error:
                    raise ModelTimedOut from error
                if piece is None:
                    return
                yield piece
                deadline = whole

    def _told(self, request: AnswerRequest, failure: ModelFailed) -> Failed:
        profile = request.profile
        breaker = self._breakers.find(_key(request))
        rests = 0.0 if breaker is None else breaker.rests_for
        log.warning(
            "model failed",
            provider=profile.provider, reason=failure.code, detail=failure.detail, rests_for=round(rests),
        )  # fmt: skip
        return Failed(profile.provider, endpoint_of(profile), failure.code, rests)


def speakers(profile: Profile) -> list[Profile]:
    """A profile as each of its models is asked with it, in order."""
    spoken = [
        replace(
            profile, provider=one.provider, model=one.model, base_url=one.base_url, api_key=one.api_key,
        )
        for one in profile.fallbacks
    ]  # fmt: skip
    return [profile, *spoken]


def endpoint_of(profile: Profile) -> str:
    """Name what a breaker guards: a model behind an address; of the address, what holds no secret."""
    address = urlsplit(profile.base_url or "")
    return f"{address.netloc.rpartition('@')[2]}{address.path} {profile.model}".strip()


def _key(request: AnswerRequest) -> Key:
    return request.tenant, request.profile.provider, endpoint_of(request.profile)
