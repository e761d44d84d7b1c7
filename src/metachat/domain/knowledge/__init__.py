"""What a company's documents say: upload, indexing and search.

Indexing itself is in `indexing`, which only the worker imports: the text tools cost memory.
"""

from metachat.domain.knowledge.actions import (
    Received,
    add,
    delete_document,
    find_document,
    find_passage,
    list_documents,
    list_passages,
    receive,
    reindex,
    upload,
)
from metachat.domain.knowledge.embedding.contract import Embedder, EmbeddingFailed, Vector
from metachat.domain.knowledge.language import detect_language
from metachat.domain.knowledge.lookups import Lookups
from metachat.domain.knowledge.model import (
    Chunk,
    Document,
    DocumentNotFound,
    Passage,
    PassageNotFound,
    Section,
)
from metachat.domain.knowledge.search import Query, find_passages, prepare, search
from metachat.domain.knowledge.searches import Searches

__all__ = [
    "Chunk",
    "Document",
    "DocumentNotFound",
    "Embedder",
    "EmbeddingFailed",
    "Lookups",
    "Passage",
    "PassageNotFound",
    "Query",
    "Received",
    "Searches",
    "Section",
    "Vector",
    "add",
    "delete_document",
    "detect_language",
    "find_document",
    "find_passage",
    "find_passages",
    "list_documents",
    "list_passages",
    "prepare",
    "receive",
    "reindex",
    "search",
    "upload",
]
