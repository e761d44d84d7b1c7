"""Streams of any length, encrypted and cut into pieces on the way to a target, and back again.

The pieces put together are one age file: `cat pieces | age -d -i KEY` opens it without us.
"""

import contextlib
import hashlib
import io
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec

from metachat.foundation.settings import Secret
from metachat.operations import age
from metachat.operations.backups.contract import KeyMissing, ObjectDamaged, Target

PIECE = 16 * 1024 * 1024

_END = b""
_WHICH_KEY = "Name the key with --identity: this machine's backup.identity, or the recovery key."


class Piece(msgspec.Struct, frozen=True):
    """One object of a stream, as it lies in the target."""

    key: str
    sha256: str
    size: int


class Stream(msgspec.Struct, frozen=True):
    """A stream in the target: its pieces in order, and what they hold once decrypted."""

    pieces: tuple[Piece, ...]
    sha256: str
    size: int

    @property
    def stored(self) -> int:
        """The bytes it takes in the target."""
        return sum(piece.size for piece in self.pieces)


class Readable(Protocol):
    """Whatever gives bytes."""

    def read(self, size: int = -1, /) -> bytes:
        """Give at most this many bytes, none at the end."""
        ...


@dataclass
class _Source:
    """Counts and hashes what is read through it."""

    stream: Readable
    told: Callable[[int], None]
    size: int = 0
    failure: Exception | None = None

    def __post_init__(self) -> None:
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        try:
            content = self.stream.read(size)
        except Exception as failure:
            self.failure = failure
            raise
        self.digest.update(content)
        self.size += len(content)
        if self.size % PIECE < len(content):
            self.told(self.size)
        return content


class _Sink:
    """Cuts what is written into pieces, which another thread sends while the next one fills."""

    def __init__(self, target: Target, stem: str) -> None:
        self.pieces: list[Piece] = []
        self.failure: BaseException | None = None
        self._target, self._stem = target, stem
        self._filling = bytearray()
        self._waiting: queue.Queue[bytes] = queue.Queue(maxsize=1)
        self._sender = threading.Thread(target=self._send, daemon=True)
        self._sender.start()

    def write(self, content: bytes) -> int:
        self._filling += content
        if len(self._filling) >= PIECE:
            self._hand(bytes(self._filling[:PIECE]))
            del self._filling[:PIECE]
        return len(content)

    def flush(self) -> None:
        """Nothing: pieces go out when they are full."""

    def finish(self) -> None:
        """Send the rest and wait; raises what the target refused with."""
        if self._filling:
            self._hand(bytes(self._filling))
        self.abort()
        if self.failure is not None:
            raise self.failure

    def abort(self) -> None:
        """Wait for the piece that is on its way."""
        if self._sender.is_alive():
            self._waiting.put(_END)
            self._sender.join()

    def _hand(self, content: bytes) -> None:
        if self.failure is not None:
            raise self.failure
        self._waiting.put(content)

    def _send(self) -> None:
        while content := self._waiting.get():
            if self.failure is not None:
                continue  # emptied, so that nobody waits for us
            key = f"{self._stem}.{len(self.pieces) + 1:06d}"
            try:
                self._target.put(key, content)
                self.pieces.append(Piece(key, hashlib.sha256(content).hexdigest(), len(content)))
            except Exception as error:
                self.failure = error


def store(
    source: Readable, target: Target, stem: str, recipients: Iterable[str],
    told: Callable[[int], None] = lambda size: None,
) -> Stream:  # fmt: skip
    """Encrypt a stream into a target; `told` hears now and then how many bytes were read."""
    reading, sink = _Source(source, told), _Sink(target, stem)
    try:
        age.encrypt_stream(reading, sink, recipients)
    except BaseException as error:
        sink.abort()
        # The library tells of whatever happened below it in words of its own.
        failure = sink.failure or reading.failure
        if failure is not None:
            raise failure from error
        raise
    sink.finish()
    told(reading.size)
    return Stream(tuple(sink.pieces), reading.digest.hexdigest(), reading.size)


def store_bytes(content: bytes, target: Target, stem: str, recipients: Iterable[str]) -> Stream:
    """Encrypt some bytes into a target."""
    return store(io.BytesIO(content), target, stem, recipients)


def load_bytes(stream: Stream, target: Target, identity: Secret) -> bytes:
    """Read a short stream; raises ObjectMissing, ObjectDamaged, KeyMissing."""
    out = io.BytesIO()
    load(stream, target, identity, out)
    return out.getvalue()


def load(
    stream: Stream, target: Target, identity: Secret, out: Any, kept: Path | None = None,
    told: Callable[[int], None] = lambda size: None,
) -> None:  # fmt: skip
    """Decrypt a stream from a target into something writable.

    Raises ObjectMissing, ObjectDamaged, KeyMissing.

    `kept` is a folder for the pieces: a load that was cut goes on with those that are there already.
    """
    reading = _Joined(pieces(stream, target, kept, told))
    checked = _Checked(out)
    try:
        age.decrypt_stream(reading, checked, identity)
    except age.NotOpened as error:
        if reading.failure is not None:
            raise reading.failure from error
        raise KeyMissing(
            f"The key does not open {stream.pieces[0].key if stream.pieces else 'it'}: {error}.",
            _WHICH_KEY,
        ) from error
    if (checked.digest.hexdigest(), checked.size) != (stream.sha256, stream.size):
        raise ObjectDamaged("What was decrypted is not what was backed up.", "Use another backup.")


def pieces(stream: Stream, target: Target, kept: Path | None, told: Callable[[int], None]) -> Iterator[bytes]:
    """Read the pieces in order, each proven."""
    size = 0
    for piece in stream.pieces:
        content = _local(piece, kept)
        if content is None:
            content = fetch(piece, target)
            if kept is not None:
                _keep(piece, content, kept)
        size += piece.size
        told(size)
        yield content


def fetch(piece: Piece, target: Target) -> bytes:
    """Read one piece and prove it, a second time when it came wrong; raises ObjectDamaged, ObjectMissing."""
    for _ in range(2):
        content = target.get(piece.key)
        if hashlib.sha256(content).hexdigest() == piece.sha256:
            return content
    raise ObjectDamaged(f"{piece.key} in {target.address} is not what was stored.", "Use another backup.")


def _local(piece: Piece, kept: Path | None) -> bytes | None:
    if kept is None:
        return None
    with contextlib.suppress(FileNotFoundError):
        content = (kept / piece.sha256).read_bytes()
        if hashlib.sha256(content).hexdigest() == piece.sha256:
            return content
    return None


def _keep(piece: Piece, content: bytes, kept: Path) -> None:
    half = kept / f".{piece.sha256}"
    half.write_bytes(content)
    half.replace(kept / piece.sha256)


class _Joined:
    """Pieces as one readable stream."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self._current = io.BytesIO()
        self.failure: Exception | None = None

    def read(self, size: int = -1) -> bytes:
        while not (content := self._current.read(size)):
            try:
                following = next(self._parts, None)
            except Exception as failure:
                self.failure = failure if self.failure is None else self.failure
                raise
            if following is None:
                return b""
            self._current = io.BytesIO(following)
        return content


class _Checked:
    """Hashes what is written through it."""

    def __init__(self, out: Any) -> None:
        self._out = out
        self.digest = hashlib.sha256()
        self.size = 0

    def write(self, content: bytes) -> int:
        self._out.write(content)
        self.digest.update(content)
        self.size += len(content)
        return len(content)

    def flush(self) -> None:
        """Pass it on."""
        self._out.flush()


def open_piece(content: bytes, key: str, identity: Secret) -> bytes:
    """Decrypt a stream of a single piece; raises KeyMissing, ObjectDamaged."""
    try:
        return age.decrypt(content, identity)
    except age.NotOpened as error:
        if "No matching keys" in str(error):
            raise KeyMissing(f"The key does not open {key}.", _WHICH_KEY) from error
        raise ObjectDamaged(f"{key} is not what was stored: {error}.", "Use another backup.") from error
