"""Quality of the built-in answerer: the demo's questions over the demo's documents, by the real search.

Half of the questions ("tune") was used to fit the answerer's weights; the other half ("held_out") only
measures.
`python -m bench.answers tune` lists every question of that half with what was answered.
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import metachat.demo
from bench.result import Result
from bench.retrieval import add_tenant, served
from metachat.domain import knowledge
from metachat.domain.assistant import Answer, Question, Search, respond
from metachat.domain.assistant.extractive import Extractive
from metachat.domain.knowledge import Embedder, Passage
from metachat.domain.knowledge.embedding.bundled import BundledEmbedder
from metachat.domain.knowledge.indexing import Workshop, index
from metachat.foundation.blobs import DiskBlobs
from metachat.foundation.db import Database
from metachat.foundation.ids import TenantId
from metachat.foundation.scope import open_scope

HELP = Path(metachat.demo.__file__).parent / "help"
QUESTIONS = Path(__file__).parent / "questions" / "questions.jsonl"


@dataclass(frozen=True)
class Asked:
    """A question of the set, and what was answered."""

    question: dict[str, Any]
    answer: Answer

    @property
    def right(self) -> bool:
        """Answerable: a right document is cited. Otherwise: it was declined."""
        if not self.question["answerable"]:
            return self.answer.declined
        return any(one.document in self.question["documents"] for one in self.answer.citations)

    @property
    def right_first(self) -> bool:
        """The first citation is of a right document."""
        return self.right and self.answer.citations[0].document in self.question["documents"]

    @property
    def says_it(self) -> bool:
        """The answer holds the words that the question's author expects."""
        said = " ".join(self.answer.text.lower().split())
        return self.right and all(words.lower() in said for words in self.question["expect"])


async def run() -> list[Result]:
    """Ask every question and count."""
    asked = await ask_all()
    held_out = [one for one in asked if one.question["split"] == "held_out"]
    return [
        *figures("all questions", asked, limits=(0.90, 0.85)),
        *figures("held out", held_out, limits=(None, None)),
        *(
            figure
            for language in ("en", "de", "hr")
            for figure in figures(
                language, [one for one in asked if one.question["language"] == language], limits=(None, None)
            )
        ),
    ]


def figures(name: str, asked: Sequence[Asked], *, limits: tuple[float | None, float | None]) -> list[Result]:
    """The shares of a group of questions."""
    answerable = [one for one in asked if one.question["answerable"]]
    rest = [one for one in asked if not one.question["answerable"]]
    shares = {
        f"{name}: right document cited ({len(answerable)})": ([one.right for one in answerable], limits[0]),
        f"{name}: right document cited first": ([one.right_first for one in answerable], None),
        f"{name}: expected words said ({len(answerable)})": ([one.says_it for one in answerable], None),
        f"{name}: unanswerable declined ({len(rest)})": ([one.right for one in rest], limits[1]),
    }
    return [
        Result(label, sum(hits) / len(hits), "", limit, better="higher")
        for label, (hits, limit) in shares.items()
    ]


async def ask_all(split: str | None = None) -> list[Asked]:
    """Answer each question of the set, or of one half."""
    questions = [json.loads(line) for line in QUESTIONS.read_text().splitlines()]
    async with help_centre() as (search, embedder):
        answerer = Extractive(embedder)
        return [
            Asked(
                question,
                await respond(
                    Question(question["question"]), search=search, answerer=answerer, on_text=lambda _: None
                ),
            )
            for question in questions
            if split in (None, question["split"])
        ]


@asynccontextmanager
async def help_centre() -> AsyncIterator[tuple[Search, Embedder]]:
    """The demo's documents, indexed by the bundled model in a database of their own, and its search."""
    async with served() as dsns:
        worker = await Database.open(dsns["worker"])
        embedder = BundledEmbedder()
        try:
            tenant = await add_tenant(worker, "demo")
            await upload_all(worker, embedder, tenant)
            yield searching(worker, embedder, tenant), embedder
        finally:
            embedder.close()
            await worker.close()


async def upload_all(worker: Database, embedder: Embedder, tenant: TenantId) -> None:
    """Upload and index every document of the demo."""
    with tempfile.TemporaryDirectory(prefix="metachat-bench-") as folder:
        blobs = DiskBlobs(Path(folder))
        workshop = Workshop(worker, blobs, embedder, asyncio.Semaphore(1))
        for path in sorted(path for path in HELP.rglob("*") if path.is_file()):
            async with open_scope(worker, tenant, actor="bench") as scope:
                document = await knowledge.upload(scope, blobs, path.name, _once(path))
            await index(workshop, tenant, document.id)


def searching(database: Database, embedder: Embedder, tenant: TenantId) -> Search:
    """The search of one tenant, as the worker does it."""

    async def search(question: str, language: str | None) -> list[Passage]:
        query = await knowledge.prepare(embedder, question, language=language)
        async with open_scope(database, tenant, actor="bench") as scope:
            return await knowledge.find_passages(scope, query)

    return search


async def _once(path: Path) -> AsyncIterator[bytes]:
    yield path.read_bytes()


async def _list(split: str) -> None:
    for one in await ask_all(split):
        verdict = "right" if one.right else "WRONG"
        said = "DECLINED" if one.answer.declined else one.answer.text
        cited = ", ".join(dict.fromkeys(citation.document for citation in one.answer.citations))
        words = "" if not one.question["answerable"] else ("says it" if one.says_it else "words missing")
        print(f"{one.question['id']} {verdict} {words}: {one.question['question']}\n    {cited}: {said}")


if __name__ == "__main__":
    asyncio.run(_list(sys.argv[1] if len(sys.argv) > 1 else "tune"))
