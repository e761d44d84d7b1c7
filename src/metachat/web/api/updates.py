"""What providers delivered that had no effect: look at it, and have it understood again."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.params import PathParameter, QueryParameter
from msgspec import Meta

from metachat.domain.accounts import ApiScope, Role
from metachat.domain.channels import updates
from metachat.domain.channels.inbox import UpdateKind
from metachat.domain.channels.updates import UpdateRow
from metachat.domain.channels.updates.model import readable
from metachat.foundation.scope import Scope
from metachat.web import access
from metachat.web.access import AnyRequest
from metachat.web.api.channels import MAY_WRITE
from metachat.web.api.fields import Cursor, Limit
from metachat.web.api.paging import Page, after_number, page
from metachat.web.api.writing import write

Number = Annotated[int, PathParameter(ge=1, le=2**63 - 1, description="An update's number, as listed.")]
StateFilter = Annotated[
    Literal["unparsed", "ignored"],
    QueryParameter(name="state", description="ignored: understood, and without effect here."),
]
ReasonFilter = Annotated[str | None, QueryParameter(max_length=500, description="Only those kept for this.")]


class UpdateView(msgspec.Struct, frozen=True):
    """An update of a provider; reason says why it had no effect."""

    id: int
    channel_id: UUID | None
    channel: str
    kind: UpdateKind
    state: Literal["new", "parsed", "unparsed", "ignored"]
    reason: str | None
    size: int
    received_at: datetime
    handled_at: datetime | None
    correlation_id: str | None


class UpdateShown(msgspec.Struct, frozen=True):
    """An update with what was delivered: indented where it is JSON, odd bytes written out."""

    update: UpdateView
    payload: str


class ReasonView(msgspec.Struct, frozen=True):
    """Why updates were kept, and how many for this."""

    reason: str
    kind: UpdateKind
    updates: int
    latest: datetime


class WhichUpdates(msgspec.Struct, frozen=True):
    """The updates that were kept for a reason; after is next_after of the step before."""

    reason: Annotated[str, Meta(max_length=500, pattern=r"^[^\x00]*$")]
    after: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0


class ReplayedView(msgspec.Struct, frozen=True):
    """How many are being understood again; ask for the rest with next_after, unless it is null."""

    updates: int
    next_after: int | None


@get("/updates", tags=["Channels"])
async def list_updates(
    request: AnyRequest, which: StateFilter = "unparsed", reason: ReasonFilter = None,
    limit: Limit = 50, cursor: Cursor = None,
) -> Page[UpdateView]:  # fmt: skip
    """List updates that had no effect, newest first; unparsed ones wait for somebody to look."""
    before = after_number(cursor) or None
    async with access.scope(request, Role.ADMIN, api_scope=ApiScope.CHANNELS_READ) as scope:
        found = await updates.list_updates(
            scope, state=which, reason=_storable(reason), before=before, limit=limit + 1
        )
    return page([_view(row) for row in found], limit, lambda row: str(row.id))


@get("/updates/reasons", tags=["Channels"])
async def list_reasons(request: AnyRequest) -> list[ReasonView]:
    """Tell why updates were kept, and how many for each reason; the 50 most frequent ones."""
    async with access.scope(request, Role.ADMIN, api_scope=ApiScope.CHANNELS_READ) as scope:
        found = await updates.reasons(scope)
    return [msgspec.convert(one, ReasonView, from_attributes=True) for one in found]


@get("/updates/{number:int}", tags=["Channels"])
async def show_update(request: AnyRequest, number: Number) -> UpdateShown:
    """Show an update with what was delivered; it holds what customers wrote."""
    async with access.scope(request, Role.ADMIN, api_scope=ApiScope.CHANNELS_READ) as scope:
        found = await updates.find(scope, number)
    return UpdateShown(_view(found), readable(found.payload or b""))


@post("/updates/{number:int}/replay", tags=["Channels"], status_code=202)
async def replay_update(request: AnyRequest, number: Number) -> Response[UpdateView]:
    """Have an update understood again, after the parser or the channel was mended."""

    async def work(scope: Scope) -> UpdateView:
        return _view(await updates.replay(scope, number))

    return await write(request, MAY_WRITE, work, status=202)


@post("/updates/replay", tags=["Channels"], status_code=202)
async def replay_updates(request: AnyRequest, data: WhichUpdates) -> Response[ReplayedView]:
    """Have up to 1,000 updates that were kept for a reason understood again, oldest first."""

    async def work(scope: Scope) -> ReplayedView:
        done = await updates.replay_all(scope, data.reason, after=data.after)
        return ReplayedView(done.updates, done.next_after)

    return await write(request, MAY_WRITE, work, status=202)


def _view(row: UpdateRow) -> UpdateView:
    return msgspec.convert(row, UpdateView, from_attributes=True)


def _storable(text: str | None) -> str | None:
    # No stored reason holds a NUL, and Postgres takes none.
    return None if text is None else text.replace("\x00", "")


ROUTES = [list_updates, list_reasons, show_update, replay_update, replay_updates]
