"""The widget as one file: its parts put together once per process, plain and compressed."""

import gzip
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "source"
_PARTS = ("texts", "styles", "dom", "link", "transcript", "element")


@dataclass(frozen=True, slots=True)
class Script:
    """A script as it is served."""

    plain: bytes
    compressed: bytes
    etag: str


@cache
def script() -> Script:
    """Put the parts into one function, so that a page's own names and ours never meet."""
    parts = "\n".join((_FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in _PARTS)
    # Comments and indentation are for readers of the source; nothing else is taken out.
    parts = re.sub(r"^[ \t]+|^[ \t]*//.*\n| // .*$", "", parts, flags=re.MULTILINE)
    # The running script is only known while it runs for the first time.
    plain = f'(() => {{\n"use strict";\nconst SCRIPT = document.currentScript;\n{parts}}})();\n'.encode()
    return Script(plain, gzip.compress(plain, 9, mtime=0), f'"{hashlib.sha256(plain).hexdigest()[:20]}"')
