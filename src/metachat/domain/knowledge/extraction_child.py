"""The child process that reads one file: limits itself first, then prints what it read as JSON.

Run as `python -m metachat.domain.knowledge.extraction_child KIND PATH MEMORY_MIB CPU_SECONDS`. Nothing that
a file does to it, a crash or an endless loop, reaches the process that started it.
"""

import contextlib
import ctypes
import resource
import signal
import sys
import tempfile
from importlib import import_module
from pathlib import Path

import msgspec

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    """Read a file and print {"sections", "pages"}, or {"error": code}."""
    kind, path, memory, seconds = arguments
    if kind == "pdf":
        _unpack_pdf_reader()
    _limit(int(memory) << 20, int(seconds))
    model = import_module("metachat.domain.knowledge.reading.model")
    # The parser is loaded under the limits: whatever it allocates counts.
    read = import_module("metachat.domain.knowledge.reading.read").read
    try:
        reading = read(Path(path), kind)
        answer = {
            "sections": [msgspec.to_builtins(section) for section in reading.sections],
            "pages": reading.pages,
        }
    except model.Unreadable as reason:
        answer = {"error": reason.code}
    except (MemoryError, RecursionError):
        answer = {"error": "needs_too_much_memory"}
    sys.stdout.buffer.write(msgspec.json.encode(answer))
    return 0


def _unpack_pdf_reader() -> None:
    # The parser writes its library for PDFs to the temporary folder when it meets the first one, which the
    # limits forbid: so that first one is ours, and empty.
    if (Path(tempfile.gettempdir()) / "kreuzberg-pdfium" / "libpdfium.so").exists():
        return
    kreuzberg = import_module("kreuzberg")
    with contextlib.suppress(kreuzberg.KreuzbergError):
        kreuzberg.extract_bytes_sync(b"%PDF-1.4\n", "application/pdf")


def _limit(memory: int, seconds: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    # When the worker is killed, its child must not live on.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
