"""A conversation with everything that can be in one, for pages to show."""

from dataclasses import replace
from typing import Any

from tests.dashboard.conftest import Office
from tests.media.conftest import OGG, PDF, PNG
from tests.media.test_sweeping import bytes_of

from metachat.domain import channels, conversations
from metachat.domain.channels import Form, Inbound, Reaction, Revision
from metachat.domain.conversations import attachments, changes
from metachat.foundation.ids import ConversationId, UserId
from metachat.foundation.scope import Scope, open_scope

ANA = "385911234567"


async def fill(office: Office, agent: UserId) -> ConversationId:
    """Let a customer and an agent exchange one of each."""
    database, media = office.platform.database, office.platform.media.for_tenant(office.tenant)
    files = {
        name: await attachments.receive(media, name, bytes_of(content), cap=10**7)
        for name, content in {"tent.png": PNG, "voice.ogg": OGG, "receipt-2026.pdf": PDF}.items()
    }
    async with open_scope(database, office.tenant, actor="test") as scope:
        channel = await channels.create(scope, "whatsapp", "WhatsApp")
        talk = await _said(scope, channel.id, files)
        added = await attachments.add(scope, talk, files["receipt-2026.pdf"])
        await conversations.agent_sends(scope, talk, added.id, "Here is your receipt.", agent=agent)
        await _changed(scope, channel.id)
    return talk


async def _said(scope: Scope, channel: Any, files: dict[str, attachments.Uploaded]) -> ConversationId:
    one = Inbound(channel, ANA, "w0", "Hello, is this tent still available?", name="Ana Kovač", phone=ANA)
    ad = {
        "headline": "Two nights in the Gorski kotar",
        "body": "Our lightest tent",
        "source_url": "https://fb.me/x",
    }
    said: list[tuple[str, Form, dict[str, Any]]] = [
        ("Hello, is this tent still available?", "text", {"referral": ad}),
        ("This is the one I mean", "image", {"media": {"id": "1", "mime_type": "image/png"}}),
        ("[audio]", "audio", {"media": {"id": "2", "mime_type": "audio/ogg"}, "wordless": True}),
        ("[document]", "document", {"media": {"id": "3", "filename": "tool.exe"}, "wordless": True}),
        ("Zagreb, Ilica 1", "location", {"location": {
            "latitude": 45.813, "longitude": 15.977, "name": "Home", "address": "Ilica 1, Zagreb"}}),
        ("Ivo", "contacts", {"contacts": [
            {"name": "Ivo Horvat", "phones": ["+385 91 765 4321"], "emails": ["ivo@example.com"]}]}),
        ("Two persons", "choice", {"choice": {"title": "Two persons", "description": "2.4 kg, green"}}),
        ("2 × tent-2p", "order", {"order": {"items": [
            {"product_retailer_id": "tent-2p", "quantity": "2", "item_price": "199", "currency": "EUR"}]}}),
        ("[unsupported]", "other", {"type": "unsupported", "subtype": "poll_creation", "wordless": True,
            "errors": [{"code": "131051", "detail": "Message type is currently not supported."}]}),
        ("When does it arive?", "text", {"reply_to": "w1"}),
        ("my password is 1234", "text", {}),
        ("[image]", "image", {"media": {"id": "4", "mime_type": "image/jpeg"}, "wordless": True}),
    ]  # fmt: skip
    messages = [
        await conversations.receive(
            scope, replace(one, provider_id=f"w{n}", text=text, form=form, detail=detail)
        )
        for n, (text, form, detail) in enumerate(said)
    ]
    for number, name in ((1, "tent.png"), (2, "voice.ogg")):
        await _stored(scope, messages[number], files[name])
    await attachments.expect(scope, messages[3], "document", {"id": "3", "filename": "tool.exe"})
    await scope.db.execute("UPDATE attachments SET state = 'refused', reason = 'the file is a program'"
                           " WHERE provider_id = '3'")  # fmt: skip
    await attachments.expect(scope, messages[11], "image", {"id": "4", "mime_type": "image/jpeg"})
    return messages[0].conversation_id


async def _stored(scope: Scope, message: conversations.Message, file: attachments.Uploaded) -> None:
    added = await attachments.add(scope, message.conversation_id, file)
    await attachments.claim(scope, added, message.id)


async def _changed(scope: Scope, channel: Any) -> None:
    assert await changes.react(scope, Reaction(channel, ANA, "w1", "👍"))
    assert await changes.revise(scope, Revision(channel, ANA, "w9", "When does it arrive?"))
    assert await changes.revise(scope, Revision(channel, ANA, "w10", None))
