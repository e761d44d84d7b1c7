"""Files of strangers, handed out: to be saved, never as a page of ours, and in parts where a player asks."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from litestar import Request
from litestar.response import Stream

_PIECE = 256 * 1024
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")

# What a browser shows in a page of ours is fetched by an <img> or a player, which do not care about the
# disposition; whoever opens the address itself gets a file to save. What is in it is not our doing.
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cache-Control": "private, max-age=3600",
    "Accept-Ranges": "bytes",
}


def hand_out(request: Request[Any, Any, Any], path: Path, media_type: str, name: str) -> Stream:
    """Answer with a file, or with the part of it that was asked for; raises FileNotFoundError."""
    size = path.stat().st_size
    begin, end, status = _asked(request.headers, size)
    headers = {
        **_HEADERS,
        "Content-Disposition": f"attachment; filename*=utf-8''{quote(name, safe='')}",
        "Content-Length": str(end - begin),
    }
    if status != 200:
        headers["Content-Range"] = f"bytes {begin}-{end - 1}/{size}" if status == 206 else f"bytes */{size}"
    return Stream(_pieces(path, begin, end), status_code=status, media_type=media_type, headers=headers)


def _asked(headers: Mapping[str, str], size: int) -> tuple[int, int, int]:
    """Where to begin and to end, and the status that says so."""
    match = _RANGE.fullmatch(headers.get("range", "").strip())
    if match is None or match.group(0) == "bytes=-":
        return 0, size, 200
    first, last = match.groups()
    if not first:
        return max(0, size - int(last)), size, 206 if int(last) and size else 416
    begin, end = int(first), min(size, int(last) + 1 if last else size)
    return (begin, end, 206) if begin < end else (0, 0, 416)


async def _pieces(path: Path, begin: int, end: int) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(path.open, "rb") as file:
        file.seek(begin)
        while begin < end and (piece := await asyncio.to_thread(file.read, min(_PIECE, end - begin))):
            begin += len(piece)
            yield piece
