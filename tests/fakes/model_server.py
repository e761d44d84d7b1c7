"""A model provider on loopback that says what a script tells it to, in three providers' wire formats.

    with ModelServer() as server:
        server.script(Reply("Parcels take two days."), Reply(status=429))
        ... ask server.openai_url or server.anthropic_url ...
        assert "two days" in server.requests[0].data

It speaks OpenAI's chat completions (which Ollama speaks too) and embeddings, and Anthropic's messages,
streamed or whole, over real HTTP, from a thread of its own. Without a script every answer is `default`,
at once.
"""

import asyncio
import hashlib
import json
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Self

_PIECE = 12


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it arrived; system and data are the instructions and the user's side of the prompt."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def system(self) -> str:
        """The instructions, wherever the format puts them."""
        if "system" in self.body:
            return _plain(self.body["system"])
        return "\n".join(
            _plain(one["content"]) for one in self._messages() if one["role"] in ("system", "developer")
        )

    @property
    def data(self) -> str:
        """Everything that is not instructions."""
        return "\n".join(
            _plain(one["content"]) for one in self._messages() if one["role"] not in ("system", "developer")
        )

    def _messages(self) -> list[dict[str, Any]]:
        return self.body.get("messages", [])


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server answers.

    status other than 200 sends an error with `text` as its message. first and each are seconds before the
    first and every further piece. cut drops the connection after that many pieces; garbled sends bytes
    that are no JSON in place of the piece with that number; headers are added.
    """

    text: str = ""
    status: int = 200
    first: float = 0.0
    each: float = 0.0
    cut: int | None = None
    garbled: int | None = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def pieces(self) -> list[str]:
        """The text as it is streamed, a few characters at a time."""
        return [self.text[at : at + _PIECE] for at in range(0, len(self.text), _PIECE)] or [""]


Script = Reply | Callable[[Asked], Reply]


class ModelServer:
    """Runs while its `with` block does; scripts and requests may be used from any thread."""

    def __init__(self, default: Script = Reply("NO_ANSWER"), dimension: int = 384) -> None:
        """Choose what is answered when no script is left, and the length of embeddings."""
        self.default = default
        self.dimension = dimension
        self.requests: list[Asked] = []
        self.url = ""
        self._scripts: deque[Script] = deque()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="model-server", daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def openai_url(self) -> str:
        """The base of OpenAI's (and Ollama's) paths."""
        return f"{self.url}/v1"

    @property
    def anthropic_url(self) -> str:
        """The base of Anthropic's paths."""
        return self.url

    def script(self, *replies: Script) -> None:
        """Answer the next requests with these, one each, in order."""
        self._scripts.extend(replies)

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def _stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while (asked := await _read(reader)) is not None:
                self.requests.append(asked)
                if not await self._answer(asked, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> bool:
        if asked.path.endswith("/embeddings"):
            return await _send(writer, 200, _embeddings(asked, self.dimension))
        scripted = self._scripts.popleft() if self._scripts else self.default
        reply = scripted(asked) if callable(scripted) else scripted
        wire = _anthropic if asked.path.endswith("/messages") else _openai
        if reply.first:
            await asyncio.sleep(reply.first)
        if reply.status != 200:
            return await _send(writer, reply.status, wire.error(reply), reply.headers)
        if not asked.body.get("stream"):
            return await _send(writer, 200, wire.whole(reply, asked), reply.headers)
        return await _stream(writer, reply, wire.events(reply, asked))


class OpenAIWire:
    """Chat completions."""

    def error(self, reply: Reply) -> dict[str, Any]:
        """The body of a failed request."""
        return {"error": {"message": reply.text, "type": "invalid_request_error", "code": None}}

    def whole(self, reply: Reply, asked: Asked) -> dict[str, Any]:
        """A whole completion."""
        message = {"role": "assistant", "content": reply.text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return {**self._head(asked, "chat.completion"), "choices": [choice], "usage": self._usage(reply)}

    def events(self, reply: Reply, asked: Asked) -> list[str]:
        """The stream: one chunk a piece, the end, the usage."""
        head = self._head(asked, "chat.completion.chunk")
        chunks = [
            {
                **head,
                "choices": [
                    {"index": 0, "delta": {"role": "assistant", "content": piece}, "finish_reason": None}
                ],
            }
            for piece in reply.pieces
        ]
        chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        chunks.append({**head, "choices": [], "usage": self._usage(reply)})
        return [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks] + ["data: [DONE]\n\n"]

    def _head(self, asked: Asked, kind: str) -> dict[str, Any]:
        return {
            "id": "chatcmpl-1",
            "object": kind,
            "created": 1_700_000_000,
            "model": asked.body.get("model", ""),
        }

    def _usage(self, reply: Reply) -> dict[str, int]:
        said = len(reply.pieces)
        return {"prompt_tokens": 100, "completion_tokens": said, "total_tokens": 100 + said}


class AnthropicWire:
    """Messages."""

    def error(self, reply: Reply) -> dict[str, Any]:
        """The body of a failed request."""
        return {"type": "error", "error": {"type": "invalid_request_error", "message": reply.text}}

    def whole(self, reply: Reply, asked: Asked) -> dict[str, Any]:
        """A whole message."""
        usage = {"input_tokens": 100, "output_tokens": len(reply.pieces)}
        return {
            **self._head(asked),
            "content": [{"type": "text", "text": reply.text}],
            "stop_reason": "end_turn",
            "usage": usage,
        }

    def events(self, reply: Reply, asked: Asked) -> list[str]:
        """The stream: start, one delta a piece, the end with its usage."""
        begun = {
            **self._head(asked),
            "content": list[Any](),
            "stop_reason": None,
            "usage": {"input_tokens": 100, "output_tokens": 1},
        }
        listed: list[dict[str, Any]] = [
            {"type": "message_start", "message": begun},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        ]
        listed += [
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
            for piece in reply.pieces
        ]
        listed += [
            {"type": "content_block_stop", "index": 0},
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                "usage": {"output_tokens": len(reply.pieces)},
            },
            {"type": "message_stop"},
        ]
        return [f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in listed]

    def _head(self, asked: Asked) -> dict[str, Any]:
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": asked.body.get("model", ""),
            "stop_sequence": None,
        }


_openai, _anthropic = OpenAIWire(), AnthropicWire()


def _plain(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text", "") for part in content or [])


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    head = await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b""
    if not head:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
    }
    content = await reader.readexactly(int(headers.get("content-length", 0)))
    return Asked(first.split(" ")[1], headers, json.loads(content) if content else {})


async def _send(
    writer: asyncio.StreamWriter, status: int, body: dict[str, Any], headers: dict[str, str] | None = None
) -> bool:
    content = json.dumps(body).encode()
    added = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    writer.write(
        f"HTTP/1.1 {status} Scripted\r\ncontent-type: application/json\r\n"
        f"content-length: {len(content)}\r\n{added}\r\n".encode()
        + content
    )
    await writer.drain()
    return True


async def _stream(writer: asyncio.StreamWriter, reply: Reply, events: list[str]) -> bool:
    writer.write(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
        + "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items()).encode()
        + b"\r\n"
    )
    async for number, event in _paced(events, reply.each):
        if reply.cut is not None and number >= reply.cut:
            writer.transport.abort()
            return False
        sent = (
            event.partition("data: ")[0] + "data: {not json\n\n" if number == reply.garbled else event
        ).encode()
        writer.write(f"{len(sent):x}\r\n".encode() + sent + b"\r\n")
    writer.write(b"0\r\n\r\n")
    await writer.drain()
    return True


async def _paced(events: list[str], seconds: float) -> AsyncIterator[tuple[int, str]]:
    for number, event in enumerate(events):
        if seconds and number:
            await asyncio.sleep(seconds)
        yield number, event


def _embeddings(asked: Asked, dimension: int) -> dict[str, Any]:
    given = asked.body.get("input", [])
    texts = [given] if isinstance(given, str) else given
    vectors = [
        {"object": "embedding", "index": n, "embedding": _vector(t, dimension)} for n, t in enumerate(texts)
    ]
    return {
        "object": "list",
        "data": vectors,
        "model": asked.body.get("model", ""),
        "usage": {"prompt_tokens": len(texts), "total_tokens": len(texts)},
    }


def _vector(text: str, dimension: int) -> list[float]:
    # The same text gives the same vector, other texts almost orthogonal ones.
    block = hashlib.shake_256(text.encode()).digest(2 * dimension)
    numbers = [int.from_bytes(block[at : at + 2], "big") / 32_768 - 1 for at in range(0, 2 * dimension, 2)]
    length = sum(number * number for number in numbers) ** 0.5 or 1.0
    return [number / length for number in numbers]
