"""One question, one whole answer: for programs that have no conversation."""

from typing import Annotated, Any

import msgspec
from litestar import Request, post
from msgspec import Meta

from metachat.domain.accounts import ApiScope, Role
from metachat.web import access, chat
from metachat.web.api.fields import Text
from metachat.web.api.writing import Rights, allowed
from metachat.web.chat import Asked

_MAY_ASK = Rights(Role.VIEWER, ApiScope.ASK)


class Question(msgspec.Struct, frozen=True):
    """A question; language is the one the asker prefers, the question's own counts first."""

    question: Text
    language: Annotated[str, Meta(pattern="^[a-z]{2}$")] | None = None


@post("/ask", tags=["Ask"], status_code=200)
async def ask(request: Request[Any, Any, Any], data: Question) -> Asked:
    """Ask the assistant; the answer names its sources, or says plainly that the documents don't answer."""
    tenant = (await allowed(request, _MAY_ASK)).tenant.id
    return await chat.ask(access.platform_of(request), tenant, data.question, language=data.language)


ROUTES = [ask]
