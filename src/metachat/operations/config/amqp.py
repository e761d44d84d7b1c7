"""The opening of AMQP 0-9-1, as far as the broker's answer to user, password and virtual host."""

import struct
from dataclasses import dataclass
from io import BufferedRWPair

_HEADER = b"AMQP\x00\x00\x09\x01"
_METHOD, _END = 1, 0xCE
_CONNECTION = 10
_START, _START_OK, _TUNE, _TUNE_OK, _OPEN, _OPEN_OK, _CLOSE = 10, 11, 30, 31, 40, 41, 50
_LARGEST_FRAME = 128 * 1024

# So that the broker says why it refuses an account, instead of hanging up.
_SAYS_WHY = b"authentication_failure_close"


class NotSpoken(Exception):
    """What answers doesn't speak AMQP 0-9-1."""


class Closed(Exception):
    """The broker closed the connection, with its reason."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A method frame: what it asks, and its arguments."""

    method: int
    arguments: bytes


def open_connection(stream: BufferedRWPair, user: str, password: str, vhost: str) -> None:
    """Open a connection and say goodbye; raises NotSpoken, Closed, OSError."""
    stream.write(_HEADER)
    _expect(stream, _START)
    capabilities = _long(_short(_SAYS_WHY) + b"t\x01")
    properties = _long(_short(b"capabilities") + b"F" + capabilities)
    response = _long(f"\0{user}\0{password}".encode())
    _send(stream, _START_OK, properties + _short(b"PLAIN") + response + _short(b"en_US"))
    _send(stream, _TUNE_OK, _expect(stream, _TUNE).arguments[:8])
    _send(stream, _OPEN, _short(vhost.encode()) + _short(b"") + b"\x00")
    _expect(stream, _OPEN_OK)
    _send(stream, _CLOSE, struct.pack(">H", 200) + _short(b"") + struct.pack(">HH", 0, 0))


def _send(stream: BufferedRWPair, method: int, arguments: bytes) -> None:
    payload = struct.pack(">HH", _CONNECTION, method) + arguments
    stream.write(struct.pack(">BHI", _METHOD, 0, len(payload)) + payload + bytes([_END]))
    stream.flush()


def _expect(stream: BufferedRWPair, method: int) -> Frame:
    stream.flush()
    head = stream.read(7)
    if len(head) < 7 or head[0] != _METHOD:
        raise NotSpoken("it hung up" if not head else "it doesn't speak AMQP 0-9-1")
    size = struct.unpack(">I", head[3:])[0]
    if not 4 <= size <= _LARGEST_FRAME:
        raise NotSpoken("it doesn't speak AMQP 0-9-1")
    payload = stream.read(size + 1)
    if len(payload) < size + 1:
        raise NotSpoken("it hung up")
    kind, found = struct.unpack(">HH", payload[:4])
    if (kind, found) == (_CONNECTION, _CLOSE):
        raise Closed(payload[7 : 7 + payload[6]].decode(errors="replace"))
    if (kind, found) != (_CONNECTION, method):
        raise NotSpoken("it doesn't speak AMQP 0-9-1")
    return Frame(found, payload[4:-1])


def _short(text: bytes) -> bytes:
    return bytes([len(text)]) + text


def _long(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content
