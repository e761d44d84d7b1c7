"""What a file is, told by its first bytes, and whether that agrees with what it is said to be."""

import re
from typing import Literal

from metachat.domain.conversations.attachments.model import FileForm

# Bytes of a file that are enough.
HEAD = 1024

Family = Literal[
    "jpeg", "png", "gif", "webp", "mp4", "ogg", "mp3", "aac", "amr", "webm", "pdf", "zip", "ole",
    "program", "markup", "text", "unknown",
]  # fmt: skip

_STARTS: tuple[tuple[bytes, Family], ...] = (
    (b"\xff\xd8\xff", "jpeg"), (b"\x89PNG\r\n\x1a\n", "png"), (b"GIF87a", "gif"), (b"GIF89a", "gif"),
    (b"OggS", "ogg"), (b"ID3", "mp3"), (b"#!AMR", "amr"), (b"\x1a\x45\xdf\xa3", "webm"),
    (b"%PDF-", "pdf"), (b"PK\x03\x04", "zip"), (b"PK\x05\x06", "zip"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole"),
    (b"MZ", "program"), (b"\x7fELF", "program"), (b"#!", "program"), (b"\xca\xfe\xba\xbe", "program"),
    (b"\xfe\xed\xfa", "program"), (b"\xcf\xfa\xed\xfe", "program"), (b"\xce\xfa\xed\xfe", "program"),
)  # fmt: skip
_MARKUP = re.compile(
    rb"\s*(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html|head|body|script|svg|\?xml|iframe)", re.I
)
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")

# What may lie behind a media type; a type that is not listed is kept for download, whatever it is.
_MAY_BE: dict[str, tuple[Family, ...]] = {
    "image/jpeg": ("jpeg",), "image/png": ("png",), "image/gif": ("gif",), "image/webp": ("webp",),
    "audio/aac": ("aac", "mp4"), "audio/mp4": ("mp4",), "audio/mpeg": ("mp3",), "audio/amr": ("amr",),
    "audio/ogg": ("ogg",), "audio/opus": ("ogg",), "audio/webm": ("webm",), "video/webm": ("webm",),
    "video/mp4": ("mp4",), "video/3gpp": ("mp4",), "application/pdf": ("pdf",),
    "text/plain": ("text", "markup"), "text/csv": ("text",),
    "application/msword": ("ole",), "application/vnd.ms-excel": ("ole",),
    "application/vnd.ms-powerpoint": ("ole",),
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ("zip", "ole"),
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ("zip", "ole"),
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": ("zip", "ole"),
}  # fmt: skip
_OF_FORM: dict[FileForm, tuple[str, ...]] = {
    "image": ("image/jpeg", "image/png", "image/gif", "image/webp"),
    "sticker": ("image/webp", "image/png"),
    "audio": ("audio/",),
    "video": ("video/",),
}
_NAMED: dict[Family, str] = {
    "jpeg": "image/jpeg", "png": "image/png", "gif": "image/gif", "webp": "image/webp",
    "mp4": "video/mp4", "ogg": "audio/ogg", "mp3": "audio/mpeg", "aac": "audio/aac", "amr": "audio/amr",
    "pdf": "application/pdf",
}  # fmt: skip
_EXTENSIONS = {
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "doc": "application/msword", "xls": "application/vnd.ms-excel", "ppt": "application/vnd.ms-powerpoint",
    "txt": "text/plain", "csv": "text/csv",
}  # fmt: skip


def family_of(head: bytes) -> Family:
    """Tell what a file is by its first bytes (at most HEAD of them count)."""
    head = head[:HEAD]
    for start, family in _STARTS:
        if head.startswith(start):
            return family
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        return "mp4"
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "aac" if head[1] & 0xF6 == 0xF0 else "mp3"
    if _MARKUP.match(head):
        return "markup"
    return "unknown" if _CONTROL.search(head) else "text"


def plain_type(media_type: str) -> str:
    """A media type without its parameters, in lower case; of bytes when there is none to be believed."""
    bare = media_type.partition(";")[0].strip().lower()
    return bare if re.fullmatch(r"[a-z0-9.+-]+/[a-z0-9.+-]+", bare) else "application/octet-stream"


def objection(form: FileForm, media_type: str, head: bytes) -> str | None:
    """Why a file is not kept as what it is said to be; None when it is."""
    family, declared = family_of(head), plain_type(media_type)
    if not head:
        return "the file is empty"
    if family == "program":
        return "the file is a program"
    expected = _OF_FORM.get(form)
    if expected is not None and not declared.startswith(expected):
        return f"{declared} is no {form}"
    may_be = _MAY_BE.get(declared)
    if expected is not None and may_be is None:
        return f"{declared} is not known as {form}"
    if may_be is not None and family not in may_be:
        return f"the file is said to be {declared}, and is not"
    return None


def recognised(name: str, head: bytes) -> tuple[FileForm, str]:
    """What a file that somebody uploads is: how it is sent, and its media type."""
    family = family_of(head)
    media_type = _NAMED.get(family)
    if media_type is None:
        suffix = name.rpartition(".")[2].lower() if "." in name else ""
        media_type = _EXTENSIONS.get(suffix, "application/octet-stream")
        if family not in _MAY_BE.get(media_type, (family,)):
            media_type = "application/octet-stream"
    if media_type in ("image/jpeg", "image/png"):
        return "image", media_type
    if media_type.startswith("audio/"):
        return "audio", media_type
    return ("video" if media_type == "video/mp4" else "document"), media_type
