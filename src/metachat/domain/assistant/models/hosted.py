"""A model behind an address: imports its provider's library only when it is asked for the first time."""

import asyncio
import contextlib
import ctypes
import gc
from collections.abc import AsyncIterator
from importlib import import_module
from typing import Protocol, cast

from metachat.domain.assistant.model import Answerer, AnswerRequest, Piece
from metachat.foundation.outbound import Outbound


class ProviderModule(Protocol):
    """What models/<provider>.py offers."""

    def answerer(self, outbound: Outbound) -> Answerer:
        """Makes the answerer that asks this provider through the guard."""
        ...


class Hosted:
    """Answers through the module models/<provider>.py.

    The libraries cost some 80 MB and a second to import, which a worker without such a model never pays.
    """

    def __init__(self, provider: str, outbound: Outbound) -> None:
        self._module = f"metachat.domain.assistant.models.{provider}"
        self._outbound = outbound
        self._loading = asyncio.Lock()
        self._answerer: Answerer | None = None

    async def answer(self, request: AnswerRequest) -> AsyncIterator[Piece]:
        """Gives the model's raw output as it comes, then what it used; raises ModelFailed."""
        answerer = self._answerer or await self._load()
        async for piece in answerer.answer(request):
            yield piece

    async def _load(self) -> Answerer:
        # Each answerer has connections and certificates of its own: many who ask at once share the first.
        async with self._loading:
            if self._answerer is None:
                module = cast(ProviderModule, await asyncio.to_thread(_imported, self._module))
                self._answerer = module.answerer(self._outbound)
            return self._answerer


def _imported(name: str) -> object:
    """Import a module, and give back to the system what only the import needed: some 13 MB."""
    module = import_module(name)
    gc.collect()
    with contextlib.suppress(AttributeError, OSError):  # only glibc keeps it, and can let go of it
        ctypes.CDLL(None).malloc_trim(0)
    return module
