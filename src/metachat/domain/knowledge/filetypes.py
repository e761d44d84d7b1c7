"""Which kinds of files can be read, told by their first bytes and by their names."""

import re
from dataclasses import dataclass
from enum import Enum

from metachat.domain.knowledge.model import EmptyFile, UnsupportedFile, WrongExtension


class Family(Enum):
    """What the first bytes of a file show."""

    PDF = "a PDF"
    ZIP = "an Office document or archive"
    OLE = "an old or a password-protected Office document"
    TEXT = "plain text"
    BINARY = "neither text nor a known document"


@dataclass(frozen=True, slots=True)
class FileType:
    """A kind of file that can be read; `families` are the first bytes that its extension may stand for."""

    name: str
    media_type: str
    families: tuple[Family, ...]


_OFFICE = (Family.ZIP, Family.OLE)
_TEXT = (Family.TEXT,)
_OPENXML = "application/vnd.openxmlformats-officedocument."

_TYPES = {
    "pdf": FileType("pdf", "application/pdf", (Family.PDF,)),
    "docx": FileType("docx", _OPENXML + "wordprocessingml.document", _OFFICE),
    "pptx": FileType("pptx", _OPENXML + "presentationml.presentation", _OFFICE),
    "xlsx": FileType("xlsx", _OPENXML + "spreadsheetml.sheet", _OFFICE),
    "html": FileType("html", "text/html", _TEXT),
    "md": FileType("md", "text/markdown", _TEXT),
    "txt": FileType("txt", "text/plain", _TEXT),
    "csv": FileType("csv", "text/csv", _TEXT),
}
_ALIASES = {"htm": "html", "markdown": "md", "text": "txt"}

# Bytes of a file that are enough to tell its family.
HEAD = 2048

_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def type_of(name: str) -> FileType:
    """The type that a file's extension stands for; raises UnsupportedFile."""
    suffix = name.rpartition(".")[2].lower() if "." in name else ""
    found = _TYPES.get(_ALIASES.get(suffix, suffix))
    if found is None:
        raise UnsupportedFile(f"{name!r} has no extension that we can read", name=name)
    return found


def check_content(name: str, head: bytes) -> FileType:
    """The type of a file whose first bytes agree with its name.

    Raises UnsupportedFile, WrongExtension and EmptyFile. What is inside an Office file is only seen when
    it is opened, by the extraction.
    """
    expected = type_of(name)
    if not head:
        raise EmptyFile(f"{name!r} has no content", name=name)
    family = family_of(head)
    if family not in expected.families:
        raise WrongExtension(
            f"{name!r} is {family.value}, not a {expected.name} file. Give it its real extension or save it "
            f"as {expected.name}, then upload it again.",
            name=name,
        )
    return expected


def family_of(head: bytes) -> Family:
    """Tell the family by the first bytes (at most HEAD of them count)."""
    head = head[:HEAD]
    if b"%PDF-" in head[:1024]:
        return Family.PDF
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return Family.ZIP
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return Family.OLE
    if head.startswith(_UTF16) or not _CONTROL.search(head):
        return Family.TEXT
    return Family.BINARY
