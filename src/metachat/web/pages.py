"""Pages: the template environment, and files with their content's hash in their address, kept for a year."""

import gzip
import hashlib
import mimetypes
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import MediaType, Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from typing_extensions import override

from metachat.domain.conversations import Message

DASHBOARD = Path(__file__).parent / "dashboard"
FILES = DASHBOARD / "static"

_REFERENCE = re.compile(r"\[([1-9]\d?)\]")
YEAR = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file as it is served: its address, its type, and its bytes plain and compressed."""

    address: str
    media_type: str
    plain: bytes
    compressed: bytes


@cache
def static_files() -> Mapping[str, StaticFile]:
    """Read and compress every static file once per process; keys are paths below the static folder."""
    return {
        str(path.relative_to(FILES)): _static_file(path)
        for path in sorted(FILES.rglob("*"))
        if path.is_file() and path.suffix != ".txt"
    }


def _static_file(path: Path) -> StaticFile:
    content = path.read_bytes()
    mark = hashlib.sha256(content).hexdigest()[:12]
    address = f"/static/{mark}/{path.relative_to(FILES)}"
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return StaticFile(address, media_type, content, gzip.compress(content, 9, mtime=0))


@get("/static/{mark:str}/{name:path}", include_in_schema=False)
async def static(
    request: Request[Any, Any, Any], mark: FromPath[str], name: FromPath[str]
) -> Response[bytes]:
    """Serve a static file; its address changes with its content, so browsers may keep it for a year."""
    file = static_files().get(name.lstrip("/"))
    if file is None:
        raise NotFoundException("There is no such file.")
    headers = {"Vary": "Accept-Encoding"}
    # An old page may ask for an old mark while a new version is being rolled out: don't let that stay.
    headers["Cache-Control"] = YEAR if f"/{mark}/" in file.address else "no-cache"
    packed = "gzip" in request.headers.get("accept-encoding", "")
    if packed:
        headers["Content-Encoding"] = "gzip"
    return Response(file.compressed if packed else file.plain, media_type=file.media_type, headers=headers)


@cache
def texts(language: str) -> dict[str, Any]:
    """Read the strings of the pages in a language."""
    return tomllib.loads((DASHBOARD / "texts" / f"{language}.toml").read_text("utf-8"))


class Pages(Environment):
    """Jinja in which `t.app.copy` is the string of that name, and no method of a dict."""

    @override
    def getattr(self, obj: Any, attribute: str) -> Any:
        """Look a name up; a dict's own entries come first."""
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)


@cache
def environment() -> Environment:
    """Make the template environment: escapes always, and fails on a name that does not exist."""
    jinja = Pages(
        loader=FileSystemLoader(DASHBOARD / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    globals_: dict[str, Any] = jinja.globals
    globals_["static"] = _address
    filters: dict[str, Any] = jinja.filters
    filters.update(moment=_moment, size=_size, fill=_fill, references=_references)
    return jinja


def render(template: str, *, language: str = "en", **values: Any) -> str:
    """Render a template with the strings of a language."""
    return environment().get_template(template).render(t=texts(language), language=language, **values)


def page(template: str, *, status: int = 200, language: str = "en", **values: Any) -> Response[str]:
    """Render a page. It holds a CSRF token beside words of strangers, so it is never compressed (BREACH)."""
    return Response(
        render(template, language=language, **values), status_code=status, media_type=MediaType.HTML
    )


def _address(name: str) -> str:
    return static_files()[name].address


def _fill(text: str, **values: object) -> str:
    return text.format(**values)


def _references(message: Message) -> list[tuple[str, int]]:
    """A message in pieces, each with the number of the citation that stands after it; 0 for none."""
    pieces = _REFERENCE.split(message.text)
    known = [int(number) if int(number) <= len(message.citations) else 0 for number in pieces[1::2]]
    texts = [
        text if number or not after else f"{text}[{after}]"
        for text, after, number in zip(pieces[::2], [*pieces[1::2], ""], [*known, 0], strict=True)
    ]
    return list(zip(texts, [*known, 0], strict=True))


def _moment(value: datetime) -> str:
    """A moment for readers without scripts; app.js shows it in the reader's own time zone."""
    return value.strftime("%-d %b %Y, %H:%M UTC")


def _size(count: int) -> str:
    amount = float(count)
    for unit in ("B", "KB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 10 else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"
