"""Stories of documents: learned, replaced, refused, deleted, and never anybody else's."""

import asyncio
from collections.abc import Callable

import pytest

from metachat.domain import knowledge
from metachat.domain.knowledge import DocumentNotFound, EmbeddingFailed, PassageNotFound
from metachat.domain.knowledge.model import BadName, EmptyFile, UnsupportedFile, WrongExtension
from metachat.foundation.blobs import TooLarge
from metachat.foundation.scope import open_scope
from tests.knowledge import files
from tests.knowledge.conftest import Library

RETURNS = b"# Returns\n\nYou may return goods within 30 days.\n\n# Shipping\n\nDelivery takes three days.\n"


async def test_a_document_is_learned_and_found(library: Library) -> None:
    document = await library.learn("help.md", RETURNS)
    assert (document.status, document.language, document.chunks_done, document.chunks_total) == (
        "ready",
        "en",
        2,
        2,
    )
    best = (await library.search("How many days do I have to return goods?"))[0]
    assert (best.document, best.heading, best.text) == (
        "help.md",
        "Returns",
        "You may return goods within 30 days.",
    )
    assert best.similarity > 0.4
    assert best.lexical > 0
    async with open_scope(library.app, library.tenant, actor="cli") as scope:
        assert (await knowledge.find_passage(scope, best.chunk_id)).text == best.text


async def test_pages_of_a_pdf_are_kept(library: Library) -> None:
    document = await library.learn(
        "guide.pdf", files.pdf(["Delivery takes three days.", "The warranty lasts two years."])
    )
    assert (document.status, document.pages) == ("ready", 2)
    assert (await library.search("How long does the warranty last?"))[0].page == 2


async def test_a_stranger_sees_nothing(library: Library, other_library: Library) -> None:
    document = await library.learn("help.md", RETURNS)
    await other_library.learn("own.md", b"# Own\n\nWe sell socks.\n")
    found = await other_library.search("How many days do I have to return goods?")
    assert {passage.document for passage in found} == {"own.md"}
    ours = (await library.search("return goods"))[0]
    with pytest.raises(DocumentNotFound):
        await other_library.find(document.id)
    with pytest.raises(DocumentNotFound):
        await other_library.delete(document.id)
    async with open_scope(other_library.app, other_library.tenant, actor="cli") as scope:
        with pytest.raises(PassageNotFound):
            await knowledge.find_passage(scope, ours.chunk_id)
        assert [found.name for found in await knowledge.list_documents(scope)] == ["own.md"]


async def test_the_same_content_again_is_no_work(library: Library) -> None:
    first = await library.learn("help.md", RETURNS)
    worked = library.embedder.passages
    again = await library.learn("help.md", RETURNS)
    assert again == first
    assert library.embedder.passages == worked


async def test_a_new_version_replaces_the_old_in_one_step(library: Library) -> None:
    first = await library.learn("help.md", RETURNS)

    async def the_old_version_answers() -> None:
        assert "30 days" in (await library.search("return goods"))[0].text

    library.embedder.before_batch = the_old_version_answers
    second = await library.learn("help.md", RETURNS.replace(b"30", b"14"))
    assert (second.id, second.version, second.status) == (first.id, 2, "ready")
    assert [
        passage.text
        for passage in await library.search("return goods")
        if "days." in passage.text and "return" in passage.text
    ] == ["You may return goods within 14 days."]
    assert len(library.stored()) == 1


async def test_a_broken_new_version_leaves_the_old_one_answering(library: Library) -> None:
    await library.learn("guide.pdf", files.pdf(["Delivery takes three days."]))
    broken = await library.learn("guide.pdf", files.pdf(["Delivery takes three days."])[:600])
    assert (broken.status, broken.error_code) == ("failed", "broken")
    assert "three days" in (await library.search("delivery"))[0].text
    repaired = await library.learn("guide.pdf", files.pdf(["Delivery takes five days."]))
    assert repaired.status == "ready"
    assert len(library.stored()) == 1


async def test_an_upload_in_the_middle_of_indexing_wins(library: Library) -> None:
    async def replaced_meanwhile() -> None:
        library.embedder.before_batch = lambda: None
        await library.upload("help.md", RETURNS.replace(b"30", b"14"))

    library.embedder.before_batch = replaced_meanwhile
    document = await library.learn("help.md", RETURNS)
    assert (document.status, document.version) == ("ready", 2)
    assert "14 days" in (await library.search("return goods"))[0].text
    assert await library.count("chunks") == 2


async def test_a_run_that_died_is_done_again(library: Library) -> None:
    class Killed(BaseException):
        pass

    def die() -> None:
        raise Killed

    library.embedder.before_batch = die
    document = await library.upload("help.md", RETURNS)
    with pytest.raises(Killed):
        await library.work()
    assert (await library.find(document.id)).status == "processing"
    library.embedder.before_batch = lambda: None
    async with open_scope(library.app, library.tenant, actor="cli") as scope:
        await knowledge.actions.index_later(scope, document.id)
        await knowledge.actions.index_later(scope, document.id)
    await library.work()
    assert (await library.find(document.id)).status == "ready"
    assert await library.count("chunks") == 2


async def test_a_model_that_is_away_is_told_and_tried_again(library: Library) -> None:
    def away() -> None:
        raise EmbeddingFailed

    library.embedder.before_batch = away
    document = await library.upload("help.md", RETURNS)
    with pytest.raises(EmbeddingFailed):
        await library.work()
    waiting = await library.find(document.id)
    assert (waiting.status, waiting.error_code) == ("pending", "embedding_failed")
    library.embedder.before_batch = lambda: None
    again = await library.learn("help.md", RETURNS)  # uploading once more is a way to try again, too
    assert (again.id, again.status, again.error_code) == (document.id, "ready", None)


async def test_deleting_leaves_nothing(library: Library, other_library: Library) -> None:
    document = await library.learn("help.md", RETURNS)
    kept = await other_library.learn("help.md", RETURNS)
    await library.delete(document.id)
    assert (await library.count("documents"), await library.count("chunks"), library.stored()) == (0, 0, [])
    assert (await other_library.find(kept.id)).status == "ready"
    assert len(other_library.stored()) == 1
    with pytest.raises(DocumentNotFound):
        await library.delete(document.id)


async def test_bytes_that_another_document_needs_stay(library: Library) -> None:
    first = await library.learn("one.md", RETURNS)
    await library.learn("two.md", RETURNS)
    await library.delete(first.id)
    assert len(library.stored()) == 1
    assert (await library.search("return goods"))[0].document == "two.md"


async def test_deleted_while_it_is_indexed(library: Library) -> None:
    async def gone() -> None:
        async with open_scope(library.app, library.tenant, actor="cli") as scope:
            (document,) = await knowledge.list_documents(scope)
            await knowledge.delete_document(scope, document.id)

    library.embedder.before_batch = gone
    await library.upload("help.md", RETURNS)
    await library.work()
    assert (await library.count("documents"), await library.count("chunks"), library.stored()) == (0, 0, [])


async def test_uploads_at_the_same_time_become_one_document(library: Library) -> None:
    contents = [RETURNS.replace(b"30", str(days).encode()) for days in range(6)]
    await asyncio.gather(*(library.upload("help.md", content) for content in contents))
    await library.work()
    assert await library.count("documents") == 1
    assert await library.count("chunks") == 2
    assert len(library.stored()) == 1


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("locked.pdf", lambda: files.pdf(["secret"], password="x"), "encrypted"),
        ("locked.docx", files.locked_office, "encrypted"),
        ("scan.pdf", lambda: files.pdf([""]), "no_text"),
        ("empty.docx", lambda: files.word([]), "no_text"),
        ("half.docx", lambda: files.word([("Normal", "Hello")])[:3000], "broken"),
        ("sheet.docx", lambda: files.sheets({"A": [["a", "b"]]}), "wrong_extension"),
        ("old.xlsx", lambda: bytes.fromhex("d0cf11e0a1b11ae1") + bytes(2048), "old_office"),
        ("bomb.xlsx", lambda: files.bomb(450), "unpacks_too_large"),
    ],
)
async def test_what_cannot_be_read_says_what_to_do(
    library: Library, name: str, content: Callable[[], bytes], code: str
) -> None:
    document = await library.learn(name, content())
    assert (document.status, document.error_code) == ("failed", code)
    assert document.error_message
    assert document.error_message.endswith(".")
    good = await library.learn("help.md", RETURNS)  # the worker is as well as before
    assert good.status == "ready"


@pytest.mark.parametrize(
    ("name", "content", "refusal"),
    [
        ("photo.png", b"\x89PNG\r\n", UnsupportedFile),
        ("noextension", b"text", UnsupportedFile),
        ("really.pdf", files.word([("Normal", "Hello")]), WrongExtension),
        ("really.docx", files.pdf(["Hello"]), WrongExtension),
        ("really.txt", b"\x7fELF\x02\x01\x01\x00\x00", WrongExtension),
        ("nothing.txt", b"", EmptyFile),
        ("../..", b"text", BadName),
        ("x" * 300 + ".txt", b"text", BadName),
    ],
)
async def test_what_is_refused_at_the_door(
    library: Library, name: str, content: bytes, refusal: type[Exception]
) -> None:
    with pytest.raises(refusal):
        await library.upload(name, content)
    assert (await library.count("documents"), library.stored()) == (0, [])


async def test_a_file_beyond_the_limit_is_refused_and_leaves_nothing(library: Library) -> None:
    with pytest.raises(TooLarge, match="1,000,000 bytes"):
        await library.upload("big.txt", b"words and " * 200_000, limit=1_000_000)
    assert library.stored() == []


async def test_another_model_is_told_and_never_compared(library: Library) -> None:
    document = await library.learn("help.md", RETURNS)
    library.embedder.name, library.embedder.dimension = "another", 32
    found = await library.search("return goods")
    assert found
    assert found[0].text == "You may return goods within 30 days."
    assert {passage.similarity for passage in found} == {0.0}
    stale = await library.learn("more.md", b"# More\n\nWe have more to say.\n")
    assert (stale.status, stale.error_code) == ("stale", "embedding_model_changed")
    assert "scripted" in (stale.error_message or "")
    async with open_scope(library.app, library.tenant, actor="cli") as scope:
        assert await knowledge.reindex(scope, library.embedder) == 2
    await library.work()
    assert (await library.find(document.id)).status == (await library.find(stale.id)).status == "ready"
    assert (await library.search("return goods"))[0].similarity > 0.4
