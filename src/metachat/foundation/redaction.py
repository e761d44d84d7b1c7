"""One layer that keeps secrets out of whatever is written for people: logs, errors, answers, trails.

It knows values and names. Values: each secret that this process holds is remembered when it is read, and what
the request at hand brought along is carried; wherever one of them occurs, plain or encoded, it is replaced.
Names: what stands under `authorization`, `token`, `password` and the like is replaced whatever it is.

`hide` replaces values, `clean` values and what stands beside names; `fields` does so for a structure. None of
them raises: what is about to be told is worth more than how.
"""

import itertools
import re
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterable
from contextvars import ContextVar
from types import TracebackType
from typing import Any

from metachat.foundation.secret_names import HIDDEN, is_secret_name, without_what_is_named

# Shorter ones would be found everywhere, and are guessed anyway.
_SHORTEST, _SHORTEST_OF_TENANTS = 6, 12
# A value is sought by its first characters, so that the search does not slow down with the number of values.
_START = _SHORTEST
_LONGEST, _LONGEST_OF_TENANTS = 8_192, 1_024
# What is only good for development, and a word of every other log line.
_WORDS = frozenset({"metachat", "postgres", "password", "secret", "rabbitmq"})

# The beginning of an address, which somebody gave for the whole of a secret one.
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)

_PASSWORD_OF_URL = re.compile(r"://[^/@\s]*?:([^@\s/]+)@")
_KEY_OF_RING = re.compile(r"(?:^| )[0-9a-f]{16}:(\S+)")


class Known:
    """Values to replace, at most so many: the one that was not seen for longest is forgotten."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self._waiting: dict[str, None] = {}
        self._by_start: dict[str, tuple[str, ...]] = {}
        self._changing = threading.Lock()

    def add(self, value: str) -> None:
        """Remember a value; its encodings are made when something is written for the first time."""
        if value in self._values:
            self._values.move_to_end(value)
        else:
            self._values[value] = ()
            self._waiting[value] = None
        if len(self._values) > self._most:
            self._forget()

    def hide(self, text: str) -> str:
        """Replace every value."""
        if self._waiting:
            self._learn()
        by_start = self._by_start
        if not by_start:
            return text
        places = [at for at in range(len(text) - _START + 1) if text[at : at + _START] in by_start]
        return self._replaced(text, places) if places else text

    def _replaced(self, text: str, places: list[int]) -> str:
        parts: list[str] = []
        end = 0
        for at in places:
            if at < end:
                continue
            longest = next(
                (way for way in self._by_start[text[at : at + _START]] if text.startswith(way, at)), ""
            )
            if longest:
                parts += text[end:at], HIDDEN
                end = at + len(longest)
        return "".join(parts) + text[end:]

    def _learn(self) -> None:
        with self._changing:
            while self._waiting:
                value, _ = self._waiting.popitem()
                ways = self._values[value] = encodings(value)
                for way in ways:
                    start = way[:_START]
                    known = {*self._by_start.get(start, ()), way}
                    self._by_start[start] = tuple(sorted(known, key=len, reverse=True))

    def _forget(self) -> None:
        with self._changing:
            value, ways = self._values.popitem(last=False)
            self._waiting.pop(value, None)
            for way in ways:
                left = tuple(other for other in self._by_start.get(way[:_START], ()) if other != way)
                if left:
                    self._by_start[way[:_START]] = left
                else:
                    self._by_start.pop(way[:_START], None)


_OURS = Known(256)
_TENANTS = Known(2_048)


def remember(value: str) -> None:
    """Keep a secret of this installation out of everything that is written from now on, and its parts."""
    for part in (value, *_PASSWORD_OF_URL.findall(value), *_KEY_OF_RING.findall(value)):
        if _SHORTEST <= len(part) <= _LONGEST and part not in _WORDS and not _SCHEME.fullmatch(part):
            _OURS.add(part)


def remember_of_tenant(value: bytes) -> None:
    """Keep a secret that a tenant entered out of everything that is written from now on.

    Only what cannot be a word: somebody else's log lines must not suffer from it.
    """
    text = value[: _LONGEST_OF_TENANTS + 1].decode(errors="replace")
    if _SHORTEST_OF_TENANTS <= len(text) <= _LONGEST_OF_TENANTS and not text.isalpha():
        _TENANTS.add(text)


def encodings(value: str) -> tuple[str, ...]:
    """The ways in which a value may be written: plain, for URLs, JSON, HTML and Python, base64, and hex."""
    # Imported here, since a process that writes nothing needs none of it.
    import html  # noqa: PLC0415
    import json  # noqa: PLC0415
    from urllib.parse import quote, quote_plus  # noqa: PLC0415

    raw = value.encode(errors="surrogatepass")
    ways = {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1]}
    ways |= {html.escape(value), raw.hex(), raw.hex().upper(), *_base64(raw)}
    for quoted in (quote(raw), quote(raw, safe=""), quote_plus(raw)):
        ways |= {quoted, re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), quoted)}
    ways |= {json.dumps(way)[1:-1] for way in tuple(ways)}  # what is logged as JSON is escaped once more
    return tuple(way for way in ways if len(way) >= _START)


def _base64(raw: bytes) -> Iterable[str]:
    """The value inside of any base64 text: it looks different at each of three places, and at its ends."""
    import base64  # noqa: PLC0415

    for before in range(3):
        whole = base64.b64encode(bytes(before) + raw).decode()
        inner = whole[(0, 2, 3)[before] : (before + len(raw)) * 8 // 6]
        yield inner
        yield inner.replace("+", "-").replace("/", "_")


_MOST_CARRIED = 64

# What the request at hand brought along; made ready only when something is written.
_CARRIED: ContextVar["_Carried | None"] = ContextVar("carried", default=None)


class _Carried:
    """The secrets of one request: its cookies, tokens and signatures, and long values of its query."""

    __slots__ = ("_headers", "_known", "_query")

    def __init__(self, headers: Iterable[tuple[bytes, bytes]], query: bytes) -> None:
        self._headers, self._query = headers, query
        self._known: Known | None = None

    def known(self) -> Known:
        """The values to replace."""
        if self._known is None:
            self._known = Known(_MOST_CARRIED)
            for value in self._values():
                self._known.add(value)
        return self._known

    def _values(self) -> list[str]:
        from urllib.parse import parse_qsl  # noqa: PLC0415

        found: list[str] = []
        for name, value in self._headers:
            if _is_secret_header(name.decode("latin-1")):
                found += re.split(r"[\s;=,]+", value[:_LONGEST].decode("latin-1"))
                found.append(value[:_LONGEST].decode("latin-1"))
        for name, text in parse_qsl(self._query[:_LONGEST].decode("latin-1")):
            if is_secret_name(name) or len(text) >= _SHORTEST_OF_TENANTS:
                found.append(text)
        return [value for value in found if len(value) >= _SHORTEST_OF_TENANTS and not value.isalpha()][
            :_MOST_CARRIED
        ]


def carry(headers: Iterable[tuple[bytes, bytes]], query: bytes) -> None:
    """Keep what a request brought along out of everything that is written in its context."""
    _CARRIED.set(_Carried(headers, query))


# Of other headers, programs of our callers may send whatever they like; these are their names for logs.
_OPEN_HEADERS = re.compile(
    r"(?i)accept|content-|host|user-agent|origin|referer|connection|sec-|x-request-id|x-correlation-id|x-forward"
)


def _is_secret_header(name: str) -> bool:
    return is_secret_name(name) or not _OPEN_HEADERS.match(name)


def hide(text: str) -> str:
    """Replace every value that this process, or the request at hand, knows as secret."""
    carried = _CARRIED.get()
    if carried is not None:
        text = carried.known().hide(text)
    return _OURS.hide(_TENANTS.hide(text))


def clean(text: str) -> str:
    """Replace known values, and what stands beside a name that says secret."""
    return without_what_is_named(hide(text))


def hide_in(value: Any) -> Any:
    """A structure of JSON with its known values replaced; all else stays as it is."""
    if isinstance(value, str):
        return hide(value)
    match value:
        case {**pairs}:
            return {name: hide_in(one) for name, one in pairs.items()}
        case [*items]:
            return [hide_in(one) for one in items]
        case _:
            return value


_DEEPEST, _MOST_ITEMS = 8, 200


def fields(value: Any, depth: int = 0) -> Any:
    """A structure without its secrets, of nothing but what JSON knows; of all else what it says of itself."""
    if isinstance(value, str):
        return clean(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    match value:
        case {**pairs} if depth < _DEEPEST:
            some = itertools.islice(pairs.items(), _MOST_ITEMS)
            return {clean(told(name)): _field(told(name), one, depth + 1) for name, one in some}
        case [*items] if depth < _DEEPEST:
            return [fields(one, depth + 1) for one in items[:_MOST_ITEMS]]
        case _:
            return clean(told(value))


def _field(name: str, value: Any, depth: int) -> Any:
    return HIDDEN if value and is_secret_name(name) and not isinstance(value, bool) else fields(value, depth)


def told(value: object) -> str:
    """What an object says of itself, even when it fails at that."""
    if isinstance(value, str):
        return value
    try:
        return repr(value)
    except Exception:  # its author's mistake must not take the line along, whatever it is
        return f"<{type(value).__name__}>"


def die_discreetly() -> None:
    """Let what Python tells of errors that nobody caught pass through here, in every thread."""
    sys.excepthook = _uncaught
    threading.excepthook = lambda failed: _uncaught(failed.exc_type, failed.exc_value, failed.exc_traceback)
    sys.unraisablehook = lambda failed: _uncaught(failed.exc_type, failed.exc_value, failed.exc_traceback)


def _uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    # Imported here, since it is hoped never to be needed.
    import traceback  # noqa: PLC0415

    if not issubclass(kind, KeyboardInterrupt | SystemExit):
        print(clean("".join(traceback.format_exception(kind, error, trace))), end="", file=sys.stderr)
