"""Processes with a scripted model and embedder under their contracts: what remains is our own time.

`python -m bench.scripted api FD` and `python -m bench.scripted worker [--pause SECONDS] [--whole SECONDS]
[--real]`, with the settings in the environment like any process of the platform.
"""

import argparse
import asyncio
import functools
import os
import re
import signal
import socket
import zlib
from collections.abc import AsyncIterator, Sequence

import numpy as np
import uvicorn
import uvloop

from metachat import wiring
from metachat.domain.assistant import AnswerRequest, Claim, Final, Piece, Source, Usage
from metachat.domain.assistant.turns import Desk, take_turn
from metachat.domain.knowledge import Vector
from metachat.foundation import log
from metachat.foundation.garbage import spare_what_is_loaded
from metachat.foundation.queue import Job, Loop
from metachat.foundation.settings import Settings, load
from metachat.web.app import create_app
from metachat.wiring import Platform, open_platform
from metachat.worker import limits_of, open_queue, spare_memory

DIMENSION = 384


class ScriptedEmbedder:
    """Gives each text a vector at once: words that two texts share bring their vectors together."""

    name = "scripted"
    dimension = DIMENSION

    async def embed_query(self, text: str) -> Vector:
        """Give a question's vector."""
        return _vector(text)

    async def embed_passages(self, texts: Sequence[str]) -> list[Vector]:
        """Give passages' vectors."""
        return [_vector(text) for text in texts]


class ScriptedAnswerer:
    """Says the first sentences of the best passage: with a pause before each, or all in `whole` seconds."""

    def __init__(self, pause: float, whole: float = 0.0) -> None:
        self._pause = pause
        self._whole = whole

    async def answer(self, request: AnswerRequest) -> AsyncIterator[Piece]:
        """Say them."""
        text = request.passages[0].text if request.passages else ""
        sentences = re.findall(r"[^.!?\n]{12,}[.!?](?!\w)", text)[:5]
        pause = self._pause or self._whole / (len(sentences) or 1)
        for sentence in sentences:
            if pause:
                await asyncio.sleep(pause)
            yield Claim(sentence.strip(), (Source(1, sentence.strip()),))
        yield Final(Usage("scripted"))


async def api(settings: Settings, fd: int) -> None:
    """Serve on an inherited socket."""
    async with open_platform(settings, "api", embedder=ScriptedEmbedder()) as platform:
        config = uvicorn.Config(
            create_app(platform), http="httptools", ws="none", lifespan="off", log_config=None,
            access_log=False, server_header=False, timeout_graceful_shutdown=1,
        )  # fmt: skip
        await uvicorn.Server(config).serve(sockets=[socket.socket(fileno=fd)])


async def worker(settings: Settings, answerer: ScriptedAnswerer, real: bool) -> None:
    """Work until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    embedder = None if real else ScriptedEmbedder()
    async with open_platform(settings, "worker", embedder=embedder) as platform:
        desk: Desk = platform.desk if real else _desk(platform, answerer)

        async def turn(job: Job, _platform: Platform) -> None:
            await take_turn(job, desk)

        assert settings.worker_database_url is not None
        database = await open_queue(settings.worker_database_url.reveal(), platform.announcer)
        handlers = {**wiring.HANDLERS, "turn": turn}
        limits = limits_of(settings.turns_in_flight)
        spare_what_is_loaded()
        await Loop(database, platform.listener, handlers, platform, limits).run(stop)
        await database.close()


def _desk(platform: Platform, answerer: ScriptedAnswerer) -> Desk:
    return Desk(
        database=platform.database,
        search_of=platform.search_of,
        profile_of=platform.profile_of,
        answerer_of=lambda _profile: answerer,
        begun=platform.courtesy.show,
        answering=platform.office.foresee,
        ended=platform.courtesy.end,
    )


@functools.lru_cache(maxsize=10_000)
def _place(word: str) -> int:
    return zlib.crc32(word.encode()) % DIMENSION


def _vector(text: str) -> Vector:
    vector = np.full(DIMENSION, 1e-3, dtype=np.float32)
    for word in re.findall(r"\w{4,}", text.lower()):
        vector[_place(word)] += 1
    return vector / np.float32(np.linalg.norm(vector))


def main() -> None:
    """Run one process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("process", choices=("api", "worker"))
    parser.add_argument("fd", type=int, nargs="?")
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument("--whole", type=float, default=0.0)
    parser.add_argument("--real", action="store_true")
    arguments = parser.parse_args()
    settings = load(os.environ, arguments.process)
    log.configure(arguments.process, "text")
    if arguments.process == "api":
        uvloop.run(api(settings, arguments.fd))
    else:
        answerer = ScriptedAnswerer(arguments.pause, arguments.whole)
        spare_memory()
        uvloop.run(worker(settings, answerer, arguments.real))


if __name__ == "__main__":
    main()
