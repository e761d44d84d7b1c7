"""Embedding models: the bundled one on its own, and endpoints on the network's far end."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from metachat.domain.knowledge import EmbeddingFailed
from metachat.domain.knowledge.embedding.bundled import BundledEmbedder
from metachat.domain.knowledge.embedding.http import LONGEST, Endpoint, HttpEmbedder
from metachat.foundation.outbound import Outbound


async def test_the_bundled_model_understands_three_languages() -> None:
    embedder = BundledEmbedder()
    passages = await embedder.embed_passages(
        [
            "Die Lieferung dauert drei Tage.",
            "Povrat robe je moguć u roku od 30 dana.",
            "The tent weighs two kilograms.",
            "nul\0byte \ud800",
        ]
    )
    assert all(len(vector) == embedder.dimension for vector in passages)
    assert np.allclose([np.linalg.norm(vector) for vector in passages], 1, atol=1e-3)
    for question, best in [
        ("How long does shipping take?", 0),
        ("Can I send goods back within a month?", 1),
        ("Koliko je težak šator?", 2),
    ]:
        vector = await embedder.embed_query(question)
        assert int(np.argmax([passage @ vector for passage in passages[:3]])) == best
    embedder.close()


async def test_a_question_does_not_wait_for_a_document() -> None:
    embedder = BundledEmbedder()
    await embedder.embed_query("warm")
    indexing = asyncio.create_task(embedder.embed_passages(["We deliver within three days. " * 25] * 40))
    await asyncio.sleep(0)
    began = time.monotonic()
    await embedder.embed_query("How long does delivery take?")
    asked = time.monotonic() - began
    assert not indexing.done()
    indexing.cancel()
    embedder.close()
    assert asked < 2  # the whole document takes much longer, on any machine


class FakeEndpoint:
    """A real HTTP server that answers as it is told, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        self.answers: list[Callable[[Any], tuple[int, Any]]] = []
        self.url = ""

    async def __aenter__(self) -> "FakeEndpoint":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        self.asked.append((first.split()[1], headers, body))
        status, answer = self.answers.pop(0)(body)
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        writer.write(
            f"HTTP/1.1 {status} X\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n".encode()
            + content
        )
        await writer.drain()
        writer.close()


def outbound() -> Outbound:
    """A way out that may reach this machine."""
    return Outbound(allowed_networks=("127.0.0.0/8",))


def openai(vectors: list[list[float]]) -> tuple[int, Any]:
    """An answer in OpenAI's form, in the wrong order."""
    items = [{"index": n, "embedding": vector} for n, vector in enumerate(vectors)]
    return 200, {"data": items[::-1]}


async def test_openai_endpoints_are_asked_in_batches() -> None:
    async with FakeEndpoint() as server:
        server.answers = [lambda body: openai([[3.0, 4.0, n] for n in range(len(body["input"]))])] * 2
        embedder = HttpEmbedder(Endpoint("openai", server.url + "/v1/", "m", 3, key="k-1"), outbound())
        vectors = await embedder.embed_passages([f"text {n}\0" for n in range(40)])
    assert len(vectors) == 40
    assert np.allclose(vectors[0], [0.6, 0.8, 0])
    assert [(path, headers["authorization"], len(body["input"])) for path, headers, body in server.asked] == [
        ("/v1/embeddings", "Bearer k-1", 32), ("/v1/embeddings", "Bearer k-1", 8),
    ]  # fmt: skip
    assert "k-1" not in repr(embedder._endpoint)


async def test_ollama_is_spoken_too_and_long_vectors_are_shortened() -> None:
    async with FakeEndpoint() as server:
        server.answers = [lambda body: (200, {"embeddings": [[1.0] * 2000]})]
        embedder = HttpEmbedder(Endpoint("ollama", server.url, "bge", 2000), outbound())
        vector = await embedder.embed_query("hello")
    assert (embedder.name, embedder.dimension, len(vector)) == ("ollama:bge", LONGEST, LONGEST)
    assert np.isclose(np.linalg.norm(vector), 1, atol=1e-4)
    assert server.asked[0][0] == "/api/embed"


async def test_a_busy_endpoint_is_asked_again() -> None:
    async with FakeEndpoint() as server:
        server.answers = [
            lambda _: (503, b"busy"),
            lambda _: (429, b"slow down"),
            lambda _: openai([[1.0, 0.0]]),
        ]
        vector = await HttpEmbedder(Endpoint("openai", server.url, "m", 2), outbound()).embed_query("hello")
    assert vector.tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    "answer",
    [
        (401, b"no"), (200, b"not json"), (200, {"data": []}),
        (200, {"data": [{"index": 0, "embedding": [1.0]}]}),
        (200, {"data": [{"index": 0, "embedding": [0.0, 0.0]}]}),
    ],
)  # fmt: skip
async def test_a_wrong_answer_is_named(answer: tuple[int, Any]) -> None:
    async with FakeEndpoint() as server:
        server.answers = [lambda _: answer]
        with pytest.raises(EmbeddingFailed, match="openai:m"):
            await HttpEmbedder(Endpoint("openai", server.url, "m", 2), outbound()).embed_query("hello")


async def test_nobody_there() -> None:
    async with FakeEndpoint() as server:
        url = server.url
    with pytest.raises(EmbeddingFailed):
        await HttpEmbedder(Endpoint("openai", url, "m", 2), outbound()).embed_query("hello")
