"""Finds the passages that may answer a question, by meaning and by words, in one statement."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from metachat.domain.knowledge.embedding.contract import Embedder, Vector
from metachat.domain.knowledge.language import configuration, content_words, stems
from metachat.domain.knowledge.model import Passage
from metachat.domain.knowledge.store import tenant_mark
from metachat.foundation.connecting import halfvec
from metachat.foundation.scope import Scope

# Ranks of each search that take part in the fusion, and the constant of reciprocal rank fusion
# (Cormack, Clarke and Büttcher 2009), with which a first place outweighs two middling ones.
DEPTH = 50
RRF_CONSTANT = 60

# A question is one message; of a whole page pasted in, the first words are enough to find it.
_MOST_WORDS = 40
_LONGEST_QUESTION = 2000


@dataclass(frozen=True, slots=True)
class Query:
    """A question made ready: its vector, with the model it came from, and its words that carry meaning."""

    text: str
    words: tuple[str, ...]
    vector: Vector
    model: str
    dimension: int


async def prepare(embedder: Embedder, question: str, *, language: str | None = None) -> Query:
    """Make a question ready for search, outside of any transaction; raises EmbeddingFailed."""
    text = question.replace("\0", " ").strip()[:_LONGEST_QUESTION]
    words = tuple(content_words(text, language=language)[:_MOST_WORDS])
    vector = await embedder.embed_query(text or "?")
    return Query(text, words, vector, embedder.name, embedder.dimension)


async def search(
    scope: Scope, embedder: Embedder, question: str, *, language: str | None = None, limit: int = 8
) -> list[Passage]:
    """Prepare and find in one go; with an embedder over the network rather prepare before the transaction."""
    return await find_passages(scope, await prepare(embedder, question, language=language), limit=limit)


async def find_passages(scope: Scope, query: Query, *, limit: int = 8) -> list[Passage]:
    """Find the best passages of the tenant, best first.

    Vectors of another model than the query's are left alone: then words decide, and similarity is 0.
    """
    await scope.db.execute(TUNE)
    (found,) = await look_up(scope, [query], limit=limit)
    return found


async def look_up(scope: Scope, queries: Sequence[Query], *, limit: int = 8) -> list[list[Passage]]:
    """Find the best passages for each query, through a connection that never reads whole tables anyway."""
    rows = await scope.db.all(
        SEARCH, tenant=scope.tenant, vectors=[halfvec(query.vector) for query in queries],
        models=[query.model for query in queries], dimensions=[query.dimension for query in queries],
        languages=_SEARCHED, configurations=_CONFIGURATIONS,
        words=[_alternatives(query.words) for query in queries],
        stems=[_alternatives(stems(query.words)) for query in queries],
        mark=f"'{tenant_mark(scope)}'", depth=DEPTH, limit=limit, k=RRF_CONSTANT,
    )  # fmt: skip
    by_number = {row["question"]: row["passages"] for row in rows}
    return [_passages.decode(by_number[number]) for number in range(1, len(queries) + 1)]


_passages = msgspec.json.Decoder(list[Passage])


_SEARCHED = ["en", "de", "hr", "fr", "es", "it", "pt", "nl", "und"]
_CONFIGURATIONS = [configuration(code) for code in _SEARCHED]


def _alternatives(words: list[str] | tuple[str, ...]) -> str:
    # Words hold letters, digits and underscores only (language.words_of): nothing of tsquery's syntax.
    return " | ".join(dict.fromkeys(words))


# The vectors lie in the covering index; a sequential scan would read every tenant's rows.
TUNE = "SELECT set_config('enable_seqscan', 'off', true)"

SEARCH = """
SELECT * FROM search_passages(:tenant, :vectors::halfvec[], :models::text[], :dimensions::int[],
  :words::text[], :stems::text[], :languages::text[], :configurations::text[], :mark, :depth, :limit, :k)
"""
