"""The overview: where the tenant stands, and what to do next; and the test chat."""

from dataclasses import dataclass

from litestar import Response, get

from metachat.domain import channels, conversations, knowledge
from metachat.domain.channels import health, webchat
from metachat.domain.channels.health import Finding
from metachat.domain.conversations import Conversation
from metachat.foundation.scope import Scope
from metachat.web import access
from metachat.web.dashboard.visit import AnyRequest, enter

_RECENT = 5
_MOST_DOCUMENTS = 1000


@dataclass(frozen=True, slots=True)
class Overview:
    """What the overview shows; snippet is "" while there is no web chat."""

    ready: int
    passages: int
    recent: list[Conversation]
    snippet: str
    demo: bool
    findings: list[Finding]


@get("/dashboard")
async def show_overview(request: AnyRequest) -> Response[str]:
    """Show the overview."""
    async with enter(request) as visit:
        view = await _overview(visit.scope, access.platform_of(request).settings.address)
        return visit.page("overview.html", view=view)


@get("/dashboard/chat")
async def show_chat(request: AnyRequest) -> Response[str]:
    """Show the test chat."""
    async with enter(request) as visit:
        channel = await channels.test_channel(visit.scope)
        documents = await knowledge.list_documents(visit.scope, limit=_MOST_DOCUMENTS)
        ready = any(document.status == "ready" for document in documents)
        return visit.page("chat.html", channel=channel, ready=ready)


async def _overview(scope: Scope, address: str) -> Overview:
    documents = await knowledge.list_documents(scope, limit=_MOST_DOCUMENTS)
    websites = [channel for channel in await channels.of_tenant(scope) if channel.kind == "webchat"]
    ready = [document for document in documents if document.status == "ready"]
    return Overview(
        ready=len(ready),
        passages=sum(document.chunks_total or 0 for document in ready),
        recent=await conversations.list_conversations(scope, limit=_RECENT),
        snippet=webchat.snippet(address, websites[0]) if websites else "",
        demo=bool(websites),
        findings=[one for one in await health.open_findings(scope) if one.kind == health.SILENT],
    )


ROUTES = [show_overview, show_chat]
