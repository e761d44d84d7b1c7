"""What failed is shown with its reason, and sent again by those who may."""

from collections.abc import AsyncIterator
from typing import Any, cast

import httpx
import pytest
from tests.dashboard.conftest import Browser
from tests.sending.conftest import Shop
from tests.web.conftest import ADDRESS, PASSWORD, Office, open_office

from metachat.domain import conversations
from metachat.domain.accounts import ApiScope, Role
from metachat.domain.conversations import Message, MessageNotFound, NotFailed
from metachat.foundation.ids import ConversationId, MessageId, TenantId, uuid7
from metachat.foundation.scope import open_scope
from metachat.web.app import create_app


@pytest.fixture
async def client(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the whole application."""
    transport = httpx.ASGITransport(cast(Any, create_app(shop.platform)), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=ADDRESS) as client:
        yield client


async def failed(shop: Shop, id: ConversationId, text: str = "Lost") -> Message:
    """A message that could not be delivered; needs a worker."""
    shop.meta.fails("error", code=131026, times=1)
    message = await shop.answers(id, text)
    await shop.came_to(message, "failed")
    return message


async def test_a_failed_message_is_sent_again_once(shop: Shop) -> None:
    async with shop.worker():
        id = await shop.greeted()
        message = await failed(shop, id)
        async with shop.scope() as scope:
            again = await conversations.resend(scope, id, message.id)
        assert (again.id, again.seq, again.status) == (message.id, message.seq, "queued")
        row = await shop.came_to(message, "sent")
        async with shop.scope() as scope:
            with pytest.raises(NotFailed):
                await conversations.resend(scope, id, message.id)
    assert shop.at_phones().count("Lost") == 1
    assert row["detail"]["resent"] == 1
    # A status of the first round would not be taken for one of this.
    assert shop.meta.arrivals()[-1].callback_data == f"{message.id}.1.0.1"
    assert len(await shop.rows("SELECT FROM events WHERE kind = 'message.resent'")) == 1


async def test_only_what_is_there_and_ones_own_can_be_resent(shop: Shop, stranger: TenantId) -> None:
    async with shop.worker():
        id = await shop.greeted()
        message = await failed(shop, id)
    async with shop.scope() as scope:
        with pytest.raises(MessageNotFound):
            await conversations.resend(scope, id, MessageId(uuid7()))
    async with open_scope(shop.platform.database, stranger, actor="test") as scope:
        with pytest.raises(conversations.ConversationNotFound):
            await conversations.resend(scope, id, message.id)
    (row,) = await shop.rows("SELECT status FROM messages WHERE id = $1", message.id)
    assert row["status"] == "failed"


async def test_programs_see_the_reason_and_send_again(
    shop: Shop, client: httpx.AsyncClient, stranger: TenantId
) -> None:
    acme = await open_office(shop.platform, client, shop.tenant, "acme")
    rival = await open_office(shop.platform, client, stranger, "stranger")
    async with shop.worker():
        id = await shop.greeted()
        message = await failed(shop, id)
        path = f"/api/v1/conversations/{id}/messages"
        key = await acme.key(ApiScope.CONVERSATIONS_READ, ApiScope.CONVERSATIONS_WRITE)
        bearer = {"Authorization": f"Bearer {key}"}
        (shown,) = [
            item for item in (await client.get(path, headers=bearer)).json()["items"]
            if item["id"] == str(message.id)
        ]  # fmt: skip
        assert (shown["status"], shown["delivery"]["failed"]["code"]) == ("failed", "131026")
        theirs = {"Authorization": f"Bearer {await rival.key(ApiScope.CONVERSATIONS_WRITE)}"}
        reader = {"Authorization": f"Bearer {await acme.key(ApiScope.CONVERSATIONS_READ)}"}
        again = f"{path}/{message.id}/resend"
        assert (await client.post(again, json={}, headers=theirs)).status_code == 404
        assert (await client.post(again, json={}, headers=reader)).status_code == 403
        sent = await client.post(again, json={}, headers=bearer)
        assert (sent.status_code, sent.json()["status"]) == (200, "queued"), sent.text
        await shop.came_to(message, "sent")
        assert (await client.post(again, json={}, headers=bearer)).status_code == 409


async def test_a_person_answers_with_a_template(shop: Shop, client: httpx.AsyncClient) -> None:
    acme = await open_office(shop.platform, client, shop.tenant, "acme")
    async with shop.worker():
        id = await shop.greeted()
        agent = await acme.enters(Role.AGENT)
        given = [{"type": "body", "parameters": [{"type": "text", "text": "Ana"}]}]
        template = {"name": "reopen", "language": "en", "components": given}
        path = f"/api/v1/conversations/{id}/reply"
        answer = await agent.sends("POST", path, json={"text": "(Asked to go on)", "template": template})
        assert answer.status_code == 201, answer.text
        await shop.until("SELECT FROM messages WHERE text = '(Asked to go on)' AND provider_id IS NOT NULL")
    arrived = shop.meta.arrivals()[-1]
    assert (arrived.type, arrived.text) == (
        "template", "Hello Ana, we have an answer for you. Shall we go on?",
    )  # fmt: skip


async def test_agents_see_the_reason_and_a_button(shop: Shop, client: httpx.AsyncClient) -> None:
    office: Office = await open_office(shop.platform, client, shop.tenant, "acme")
    async with shop.worker():
        id = await shop.greeted()
        message = await failed(shop, id)
        transport = httpx.ASGITransport(cast(Any, create_app(shop.platform)), raise_app_exceptions=False)
        headers = {"Accept": "text/html"}
        async with httpx.AsyncClient(transport=transport, base_url=ADDRESS, headers=headers) as http:
            browser = Browser(http)
            await browser.opens("/sign-in")
            await browser.sends("/sign-in", email=f"agent@{office.slug}.example", password=PASSWORD)
            await browser.opens(f"/dashboard/conversations/{id}")
            assert "WhatsApp cannot reach this person" in browser.text
            assert "Send again" in browser.text
            page = await browser.sends(f"/dashboard/conversations/{id}/messages/{message.id}/resend")
            assert page.status_code == 200
            await shop.came_to(message, "sent")
            await browser.opens(f"/dashboard/conversations/{id}")
            assert "Send again" not in browser.text
