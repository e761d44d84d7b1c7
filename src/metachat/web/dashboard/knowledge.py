"""Pages of knowledge: documents, how far they are, what the assistant reads in them."""

from typing import Any
from uuid import UUID

from litestar import Response, get, post
from litestar.datastructures import FormMultiDict, UploadFile
from litestar.params import FromPath
from litestar.response import Redirect

from metachat.domain import conversations, knowledge
from metachat.domain.accounts import Role
from metachat.domain.knowledge import Passage
from metachat.foundation.errors import Invalid
from metachat.foundation.ids import ConversationId, DocumentId
from metachat.foundation.scope import Scope
from metachat.web import access
from metachat.web.dashboard.visit import AnyRequest, enter, form_with_files, go, pieces, t

_MOST = 200
_PASSAGES = 50
_MEBIBYTE = 1024 * 1024
_LIST = "/dashboard/knowledge"
# The settings bound a file; this bounds the request around it, whatever the settings.
_REQUEST_LIMIT = 1025 * _MEBIBYTE


class NoFile(Invalid):
    """Choose a file first."""

    code = "no_file"


@get(_LIST)
async def show_documents(request: AnyRequest) -> Response[str]:
    """List the documents and take new ones."""
    async with enter(request) as visit:
        documents = await knowledge.list_documents(visit.scope, limit=_MOST)
        limit = access.platform_of(request).settings.upload_limit
        return visit.page("knowledge/list.html", documents=documents, limit=limit, refused="")


@get(_LIST + "/list")
async def show_list(request: AnyRequest) -> Response[str]:
    """Show how far the documents are, for a page that is open."""
    async with enter(request) as visit:
        documents = await knowledge.list_documents(visit.scope, limit=_MOST)
        return visit.page("knowledge/_list.html", documents=documents)


@get(_LIST + "/{id:uuid}")
async def show_document(request: AnyRequest, id: FromPath[UUID]) -> Response[str]:
    """Show a document with the passages that the assistant reads."""
    async with enter(request) as visit:
        document = await knowledge.find_document(visit.scope, DocumentId(id))
        after = _first(request) - 1
        passages = await knowledge.list_passages(visit.scope, document.id, after=after, limit=_PASSAGES + 1)
        more = passages[_PASSAGES - 1].position if len(passages) > _PASSAGES else None
        return visit.page(
            "knowledge/document.html", document=document, passages=passages[:_PASSAGES], more=more
        )


@get("/dashboard/passages/{chunk_id:int}")
async def show_passage(request: AnyRequest, chunk_id: FromPath[int]) -> Response[str]:
    """Show a passage, with the words marked that an answer quotes."""
    async with enter(request) as visit:
        passage = await knowledge.find_passage(visit.scope, chunk_id)
        quote = await _quote(visit.scope, request.query_params.get("conversation"), chunk_id)
        before, quoted, after = _split(passage, quote)
        return visit.page("knowledge/passage.html", passage=passage, before=before, quote=quoted, after=after)


@post(_LIST, status_code=200, request_max_body_size=_REQUEST_LIMIT, opt={"back": _LIST})
async def upload(request: AnyRequest) -> Redirect:
    """Take new documents, or new versions of those with their names, from a browser without scripts."""
    request, form = await form_with_files(request, Role.ADMIN, _body_limit(request))
    names = [await _take(request, file, file.filename) for file in _files(form)]
    return go(_LIST, t("knowledge", "uploaded").format(name="”, “".join(names)))


@get(_LIST + "/{id:uuid}/replace")
async def ask_for_replacement(request: AnyRequest, id: FromPath[UUID]) -> Response[str]:
    """Ask for the new version of a document."""
    async with enter(request, Role.ADMIN) as visit:
        document = await knowledge.find_document(visit.scope, DocumentId(id))
        return visit.page("knowledge/replace.html", document=document)


@post(
    _LIST + "/{id:uuid}/replace", status_code=200, request_max_body_size=_REQUEST_LIMIT, opt={"back": _LIST}
)
async def replace(request: AnyRequest, id: FromPath[UUID]) -> Redirect:
    """Take the new version of a document, whatever the new file's name."""
    request, form = await form_with_files(request, Role.ADMIN, _body_limit(request))
    async with enter(request, Role.ADMIN) as visit:
        document = await knowledge.find_document(visit.scope, DocumentId(id))
    await _take(request, _files(form)[0], document.name)
    return go(f"{_LIST}/{id}", t("knowledge", "uploaded").format(name=document.name))


@get(_LIST + "/{id:uuid}/delete")
async def ask_to_delete(request: AnyRequest, id: FromPath[UUID]) -> Response[str]:
    """Ask before a document is deleted."""
    async with enter(request, Role.ADMIN) as visit:
        document = await knowledge.find_document(visit.scope, DocumentId(id))
        return visit.page("knowledge/delete.html", document=document)


@post(_LIST + "/{id:uuid}/delete", status_code=200, opt={"back": _LIST})
async def delete(request: AnyRequest, id: FromPath[UUID]) -> Redirect:
    """Delete a document."""
    async with enter(request, Role.ADMIN) as visit:
        document = await knowledge.find_document(visit.scope, DocumentId(id))
        await knowledge.delete_document(visit.scope, document.id)
    return go(_LIST, t("knowledge", "deleted").format(name=document.name))


def _body_limit(request: AnyRequest) -> int:
    return (access.platform_of(request).settings.upload_limit + 1) * _MEBIBYTE


def _files(form: FormMultiDict) -> list[UploadFile]:
    files = [file for file in form.getall("file", []) if isinstance(file, UploadFile) and file.filename]
    if not files:
        raise NoFile
    return files


async def _take(request: AnyRequest, file: UploadFile, name: str) -> str:
    platform, limit = access.platform_of(request), _body_limit(request) - _MEBIBYTE
    async with enter(request, Role.ADMIN) as visit:
        blobs = platform.blobs.for_tenant(visit.tenant.id)
    received = await knowledge.receive(blobs, name, pieces(file), limit=limit)
    async with enter(request, Role.ADMIN) as visit:
        return (await knowledge.add(visit.scope, platform.blobs, received)).name


async def _quote(scope: Scope, conversation: str | None, chunk_id: int) -> str:
    try:
        id = ConversationId(UUID(conversation or ""))
    except ValueError:
        return ""
    citation = await conversations.cited(scope, id, chunk_id)
    return str(citation["quote"]) if citation else ""


def _split(passage: Passage, quote: str) -> tuple[str, str, str]:
    before, found, after = passage.text.partition(quote) if quote else (passage.text, "", "")
    return before, found, after


def _first(request: AnyRequest) -> int:
    # "after" continues a list; "around" opens it a little before the passage that a citation names.
    after, around = (_number(request.query_params.get(name)) for name in ("after", "around"))
    return after + 1 if after is not None else max(0, (around or 0) - 3)


def _number(text: str | None) -> int | None:
    return int(text[:9]) if text is not None and text.isascii() and text.isdecimal() else None


ROUTES: list[Any] = [
    show_documents, show_list, show_document, show_passage, upload, ask_for_replacement, replace,
    ask_to_delete, delete,
]  # fmt: skip
