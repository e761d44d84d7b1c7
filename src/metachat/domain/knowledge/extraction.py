"""Text out of files, in a child process with limits: a hostile file costs at most that child."""

import asyncio
import contextlib
import os
import signal
import stat
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import msgspec

from metachat.domain.knowledge.model import Section

# Why a file could not be read, and what its owner can do about it.
MESSAGES = {
    "encrypted": "The file is protected by a password. Save a copy without one and upload that.",
    "broken": "The file is damaged or incomplete. Open it, save it again and upload the new copy.",
    "wrong_extension": "The file is not what its extension says. Give it its real extension, then upload it.",
    "old_office": "This is a format of old Office versions. Save it as docx, pptx or xlsx and upload that.",
    "no_text": "The file has no text, it may be scanned. Run text recognition (OCR) over it, then upload it.",
    "unpacks_too_large": "The file unpacks to far more than its size. Split it, or upload its text as txt.",
    "needs_too_much_memory": "Reading the file needs too much memory. Split it into smaller files.",
    "took_too_long": "Reading the file took too long. Split it into smaller files.",
    "too_much_text": "The file holds too much text for one document. Split it into smaller files.",
    "crashed": "The file made our reader fail. Save it in another format, pdf or txt, and upload that.",
    "content_missing": "The stored file is gone. Upload it again.",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What reading one file may cost: MiB of memory, processor and wall clock seconds, bytes of text."""

    memory: int = 1536
    cpu: int = 60
    wall: float = 90.0
    output: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Extracted:
    """The text of a file; pages is None for what has none."""

    sections: list[Section]
    pages: int | None


class ExtractionFailed(Exception):
    """A file whose text cannot be had; trying again would not help."""

    def __init__(self, code: str) -> None:
        super().__init__(MESSAGES[code])
        self.code = code
        self.message = MESSAGES[code]


class _Answer(msgspec.Struct, frozen=True):
    sections: list[Section] = []
    pages: int | None = None
    error: str | None = None


async def extract(path: Path, kind: str, limits: Limits | None = None) -> Extracted:
    """Read a file of a kind (the name of its FileType) in a child process; raises ExtractionFailed."""
    limits = limits or Limits()
    if not await asyncio.to_thread(path.exists):
        raise ExtractionFailed("content_missing")
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "metachat.domain.knowledge.extraction_child",
        kind, str(path), str(limits.memory), str(limits.cpu),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        env=_environment(), start_new_session=True, limit=1 << 20,
    )  # fmt: skip
    try:
        async with asyncio.timeout(limits.wall):
            output = await _read(child, limits.output)
            code = await child.wait()
    except TimeoutError as error:
        raise ExtractionFailed("took_too_long") from error
    finally:
        await _kill_group(child)
    return _parse(output, code)


def _environment() -> dict[str, str]:
    # No secrets: the child sees only what an interpreter needs. One thread keeps its address space small.
    # On a server the code lies beside its environment, where PYTHONPATH finds it.
    needed = ("PATH", "LANG", "LD_LIBRARY_PATH", "PYTHONPATH")
    kept = {name: os.environ[name] for name in needed if name in os.environ}
    return {
        **kept,
        "TMPDIR": _own_folder(),
        "PYTHONSAFEPATH": "1",
        "RAYON_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",
    }


def _own_folder() -> str:
    # The child loads code from there, so nobody else may have laid it out.
    folder = Path(tempfile.gettempdir()) / f"metachat-reader-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077:
        return str(folder)
    return tempfile.mkdtemp(prefix="metachat-reader-")


async def _read(child: asyncio.subprocess.Process, limit: int) -> bytes:
    assert child.stdout is not None
    parts: list[bytes] = []
    size = 0
    while part := await child.stdout.read(1 << 16):
        size += len(part)
        if size > limit:
            raise ExtractionFailed("too_much_text")
        parts.append(part)
    return b"".join(parts)


async def _kill_group(child: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    await child.wait()


def _parse(output: bytes, code: int) -> Extracted:
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        raise ExtractionFailed("took_too_long")
    if code == -signal.SIGABRT:
        raise ExtractionFailed("needs_too_much_memory")  # how the parser ends when memory is refused
    try:
        answer = msgspec.json.decode(output, type=_Answer)
    except msgspec.DecodeError as error:
        raise ExtractionFailed("crashed") from error
    if code != 0:
        raise ExtractionFailed("crashed")
    if answer.error is not None:
        raise ExtractionFailed(answer.error if answer.error in MESSAGES else "crashed")
    return Extracted(answer.sections, answer.pages)
