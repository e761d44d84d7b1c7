"""The shop page, its help centre and its style sheet."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from litestar import MediaType, Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, FromQuery

from metachat.demo import DEMO_SLUG
from metachat.domain import accounts, channels
from metachat.domain.channels import Channel
from metachat.domain.conversations import spoken_language
from metachat.foundation.scope import open_scope
from metachat.web.demo import articles, pages

if TYPE_CHECKING:
    from metachat.wiring import Platform

_STATIC = Path(__file__).parent / "static"
_HOUR = {"Cache-Control": "public, max-age=3600"}
AnyRequest = Request[Any, Any, Any]


@get("/demo")
async def show_shop(request: AnyRequest, lang: FromQuery[str | None] = None) -> Response[str]:
    """Show the shop with its chat, in the visitor's language."""
    language = spoken_language(lang, _preferred(request))
    channel = await _channel(request.app.state.platform)
    page = pages.shop(language, None if channel is None else str(channel.id))
    return Response(page, media_type=MediaType.HTML, headers={"Content-Language": language})


@get("/demo/help/{language:str}/{name:str}")
async def show_article(
    request: AnyRequest, language: FromPath[str], name: FromPath[str]
) -> Response[str] | Response[bytes]:
    """Show a document of the help centre: as a page where it is text, as itself where it is a file."""
    article = articles.find(language, name)
    if article is None:
        raise NotFoundException
    if article.is_file:
        headers = {"Content-Disposition": f'inline; filename="{name}"'}
        return Response(article.content, media_type=article.media_type, headers=headers)
    channel = await _channel(request.app.state.platform)
    page = pages.article(article, None if channel is None else str(channel.id))
    return Response(page, media_type=MediaType.HTML, headers={"Content-Language": language})


@get("/demo/static/{name:str}", sync_to_thread=False)
def show_file(name: FromPath[str]) -> Response[bytes]:
    """Give the shop's own style sheet or picture."""
    kinds = {".css": "text/css", ".svg": "image/svg+xml"}
    path = _STATIC / name
    if path.suffix not in kinds or path.parent != _STATIC or not path.is_file():
        raise NotFoundException
    return Response(path.read_bytes(), media_type=kinds[path.suffix], headers=_HOUR)


async def _channel(platform: "Platform") -> Channel | None:
    """Find the demo shop's web chat; None where the platform runs without the demo."""
    try:
        tenant = await accounts.find_tenant(platform.database, DEMO_SLUG)
    except accounts.TenantNotFound:
        return None
    async with open_scope(platform.database, tenant.id, actor="visitor:demo") as scope:
        found = [channel for channel in await channels.of_tenant(scope) if channel.kind == "webchat"]
    return found[0] if found else None


def _preferred(request: AnyRequest) -> str | None:
    accepted = request.headers.get("accept-language", "")
    tags = [part.split(";")[0].strip() for part in accepted.split(",")]
    return next((tag for tag in tags if tag[:2].lower() in ("en", "de", "hr")), None)
