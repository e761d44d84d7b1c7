"""The child process that reads files: its limits hold, and its death is an answer."""

import asyncio
import os
import time
from pathlib import Path

import psutil
import pytest

from metachat.domain.knowledge import extraction
from metachat.domain.knowledge.extraction import MESSAGES, ExtractionFailed, Limits, extract
from tests.knowledge import files


def children() -> list[int]:
    """The extraction processes that live right now."""
    return [
        p.pid
        for p in psutil.Process().children(recursive=True)
        if "extraction_child" in " ".join(p.cmdline())
    ]


async def code_of(path: Path, kind: str, limits: Limits) -> str:
    """Why a file could not be read."""
    with pytest.raises(ExtractionFailed) as failure:
        await extract(path, kind, limits)
    assert children() == []
    assert failure.value.message == MESSAGES[failure.value.code]
    return failure.value.code


@pytest.fixture(scope="module")
def sheet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table that takes a second to read."""
    path = tmp_path_factory.mktemp("tables") / "big.xlsx"
    path.write_bytes(files.sheets({"A": [[f"row {n}", n, "text " * 5] for n in range(60_000)]}))
    return path


async def test_memory_time_and_output_are_limited(sheet: Path) -> None:
    assert await code_of(sheet, "xlsx", Limits(memory=200)) == "needs_too_much_memory"
    assert await code_of(sheet, "xlsx", Limits(wall=0.05)) == "took_too_long"
    assert await code_of(sheet, "xlsx", Limits(output=10_000)) == "too_much_text"
    assert (await extract(sheet, "xlsx")).sections


async def test_a_bomb_costs_neither_memory_nor_time(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.xlsx"
    bomb.write_bytes(files.bomb(450))
    began = time.monotonic()
    assert await code_of(bomb, "xlsx", Limits()) == "unpacks_too_large"
    assert time.monotonic() - began < 20


async def test_a_child_that_is_killed_is_an_answer(sheet: Path) -> None:
    reading = asyncio.create_task(extract(sheet, "xlsx"))
    while not (found := children()):
        await asyncio.sleep(0.01)
    psutil.Process(found[0]).kill()
    with pytest.raises(ExtractionFailed):
        await reading


async def test_cancelling_ends_the_child(sheet: Path) -> None:
    reading = asyncio.create_task(extract(sheet, "xlsx"))
    while not children():
        await asyncio.sleep(0.01)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert children() == []


async def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    assert await code_of(tmp_path / "nothing.txt", "txt", Limits()) == "content_missing"


async def test_the_child_sees_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METACHAT_ENCRYPTION_KEY", "secret")
    assert not any(name.startswith("METACHAT") for name in extraction._environment())


@pytest.mark.parametrize("planted", [False, True])
async def test_the_first_pdf_of_a_new_machine_is_read_by_code_that_nobody_else_laid_out(
    planted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    own = tmp_path / f"metachat-reader-{os.getuid()}"
    if planted:
        (own / "kreuzberg-pdfium").mkdir(parents=True)
        own.chmod(0o777)
        (own / "kreuzberg-pdfium" / "libpdfium.so").write_bytes(b"not ours")
    guide = tmp_path / "guide.pdf"
    guide.write_bytes(files.pdf(["Delivery takes three days."]))
    for _ in range(2):
        assert [section.text for section in (await extract(guide, "pdf")).sections] == [
            "Delivery takes three days."
        ]
    laid_out = [path for path in tmp_path.rglob("libpdfium.so") if path.stat().st_size > 1_000_000]
    assert laid_out, "the library was not unpacked where this process looks for it"
    assert all(path.parents[1].stat().st_mode & 0o077 == 0 for path in laid_out)
