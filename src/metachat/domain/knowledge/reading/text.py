"""Plain text: its encoding, and the lines that a PDF broke where the page ended, not the sentence."""

import re
import unicodedata

from metachat.domain.knowledge.language import detect_language
from metachat.domain.knowledge.reading.model import Unreadable

_LIST_ITEM = re.compile(r"^\s*(?:[-–•*▪◦·‣]|\d{1,3}[.)]|[a-z]\))\s")
_SENTENCE_END = (".", "!", "?", ":", ";", "…")
_EAST_EUROPEAN = ("hr",)


def decode(data: bytes) -> str:
    """Text of bytes in UTF-8, UTF-16 with a mark, or else in the Windows encoding of its language."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = data.decode("utf-16", "replace")
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = _decode_windows(data)
    if text.count("\0") > len(text) // 100:
        raise Unreadable("broken")
    return clean(text)


def clean(text: str) -> str:
    """Text in composed form, with plain line ends, without control characters and soft hyphens."""
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = text.replace("\u00a0", " ").replace("\u00ad", "").replace("\ufeff", "").replace("\f", "\n")
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs"))


def unwrap(page: str) -> str:
    """Join the lines of a page that belong to one sentence; list items and short lines stay apart."""
    lines = [line.strip() for line in page.split("\n")]
    width = max((len(line) for line in lines), default=0)
    out: list[str] = []
    joinable = False
    for line in lines:
        if joinable and line and not _LIST_ITEM.match(line):
            out[-1] = _join(out[-1], line)
        else:
            out.append(line)
        # A line that is much shorter than the others ended on purpose.
        joinable = bool(line) and len(line) > width * 0.6 and not line.endswith(_SENTENCE_END)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(out)).strip()


def _decode_windows(data: bytes) -> str:
    # Both agree in German letters; they differ in č, ć and đ against è, æ and ð.
    east = data.decode("cp1250", "replace")
    return east if detect_language(east) in _EAST_EUROPEAN else data.decode("cp1252", "replace")


def _join(first: str, second: str) -> str:
    if first.endswith("-") and len(first) > 2 and first[-2].isalpha() and second[:1].islower():
        return first[:-1] + second
    return f"{first} {second}"
