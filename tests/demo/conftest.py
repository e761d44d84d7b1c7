"""What stands in the demo shop's documents."""

from pathlib import Path

import pytest

import metachat
from metachat.domain.knowledge.extraction import Extracted, extract
from metachat.domain.knowledge.filetypes import type_of

HELP = Path(metachat.__file__).parent / "demo" / "help"
FILES = sorted(HELP.glob("*/*"))


async def read(path: Path) -> Extracted:
    """Read a file as an upload would be read."""
    return await extract(path, type_of(path.name).name)


@pytest.fixture(scope="session")
async def texts() -> dict[str, str]:
    """The text of every document by its name, on one line, however its lines were broken."""
    found: dict[str, str] = {}
    for path in FILES:
        extracted = await read(path)
        found[path.name] = " ".join(" ".join(section.text for section in extracted.sections).split())
    return found
