"""Stories of conversations on the pages: found, read, taken over, answered, given back, closed."""

import re
from uuid import UUID

import pytest
from tests.dashboard.conftest import Office

from metachat.domain import channels, conversations
from metachat.domain.accounts import Role
from metachat.domain.channels import Inbound
from metachat.domain.conversations import Reply
from metachat.foundation.ids import ConversationId, MessageId, uuid7
from metachat.foundation.scope import open_scope

QUOTE = "We deliver within three days."


async def writes(office: Office, text: str, *, name: str = "Mia") -> ConversationId:
    """A customer writes on the website; gives the conversation."""
    async with open_scope(office.platform.database, office.tenant, actor="visitor:mia") as scope:
        known = await channels.of_tenant(scope)
        channel = known[0] if known else await channels.create(scope, "webchat", "Shop")
        id = (await conversations.start(scope, channel.id, name.lower(), name=name)).id
        inbound = Inbound(channel=channel.id, external_id=name.lower(), provider_id=f"{id}:1", text=text)
        await conversations.receive_in(scope, id, inbound)
    return id


async def writes_again(office: Office, id: ConversationId, text: str) -> None:
    """The customer of a conversation writes once more."""
    async with open_scope(office.platform.database, office.tenant, actor="visitor:mia") as scope:
        conversation = await conversations.find(scope, id)
        inbound = Inbound(
            channel=conversation.channel_id,
            external_id=conversation.external_id,
            provider_id=f"{id}:2",
            text=text,
        )
        await conversations.receive_in(scope, id, inbound)


async def is_answered(office: Office, id: ConversationId, text: str) -> None:
    """The assistant answers with a source."""
    citation = {"chunk_id": 7, "document": "delivery.md", "page": 2, "heading": None, "quote": QUOTE}
    async with open_scope(office.platform.database, office.tenant, actor="worker") as scope:
        gathered = await conversations.gather(scope, id)
        assert gathered is not None
        reply = Reply(text, citations=[citation], language="en")
        await conversations.answer(scope, gathered, MessageId(uuid7()), reply)


async def test_an_empty_inbox_teaches_what_to_do(acme: Office) -> None:
    browser = await acme.enters(Role.AGENT)
    await browser.opens("/dashboard/conversations")
    assert "No conversations yet" in browser.text


async def test_a_transcript_shows_sources_that_open_the_passage(acme: Office) -> None:
    id = await writes(acme, "How long does delivery take?")
    await is_answered(acme, id, "Three days [1]. Not a source: [9].")
    browser = await acme.enters(Role.VIEWER)
    page = await browser.opens(f"/dashboard/conversations/{id}")
    assert "How long does delivery take?" in browser.text
    assert "Not a source: [9]." in browser.text
    assert f'href="/dashboard/passages/7?conversation={id}"' in page.text
    assert "delivery.md" in browser.text
    assert "p. 2" in browser.text


async def test_words_of_customers_are_only_words(acme: Office) -> None:
    id = await writes(acme, "<script>alert(1)</script><b>hi</b>", name="<i>Eve</i>")
    browser = await acme.enters(Role.AGENT)
    for path in ("/dashboard", "/dashboard/conversations", f"/dashboard/conversations/{id}"):
        page = await browser.opens(path)
        assert "<script>alert" not in page.text
        assert "<i>Eve" not in page.text
        assert "&lt;i&gt;Eve" in page.text


async def test_conversations_are_found_by_state_and_by_words(acme: Office) -> None:
    await writes(acme, "Where is my tent?", name="Tom")
    waiting = await writes(acme, "100% cotton?", name="Wanda")
    async with open_scope(acme.platform.database, acme.tenant, actor="visitor:wanda") as scope:
        await conversations.hand_off(scope, waiting)
    browser = await acme.enters(Role.AGENT)
    await browser.opens("/dashboard/conversations?state=waiting")
    assert "Wanda" in browser.text
    assert "Tom" not in browser.text
    for query, found in (("tent", "Tom"), ("100%25", "Wanda"), ("wand", "Wanda")):
        await browser.opens(f"/dashboard/conversations?q={query}")
        assert found in browser.text, query
        assert ("Tom" in browser.text) != ("Wanda" in browser.text), query
    await browser.opens("/dashboard/conversations?q=_______nothing")
    assert "Nothing found" in browser.text


async def test_a_long_inbox_has_pages(acme: Office) -> None:
    for number in range(32):
        await writes(acme, "Hello", name=f"Person{number:02}")
    browser = await acme.enters(Role.AGENT)
    first = await browser.opens("/dashboard/conversations")
    older = re.search(r'href="([^"]+cursor=[^"]+)"', first.text)
    assert older
    await browser.opens(older.group(1).replace("&amp;", "&"))
    assert "Person00" in browser.text
    assert "Person31" not in browser.text
    assert (await browser.opens("/dashboard/conversations?cursor=nonsense")).status_code == 422


async def test_an_agent_takes_over_answers_gives_back_and_closes(acme: Office) -> None:
    id = await writes(acme, "I need a person")
    browser = await acme.enters(Role.AGENT)
    page = f"/dashboard/conversations/{id}"
    await browser.opens(page)
    await browser.sends(f"{page}/take-over")
    assert "You have this conversation now." in browser.text
    await browser.sends(f"{page}/reply", text="Hello, this is Ana.")
    assert "Hello, this is Ana." in browser.text
    other = await acme.enters(Role.OWNER)
    await other.opens(page)
    assert "Agent Acme has this conversation." in other.text
    await browser.sends(f"{page}/release")
    assert "The assistant answers again." in browser.text
    await browser.opens(f"{page}/close")
    await browser.sends(f"{page}/close")
    assert "The conversation is closed." in browser.text
    await browser.sends(f"{page}/reply", text="Too late")
    assert "This conversation is closed; it opens again when the customer writes." in browser.text


async def test_a_viewer_reads_but_does_not_act(acme: Office) -> None:
    id = await writes(acme, "I need a person")
    browser = await acme.enters(Role.VIEWER)
    page = await browser.opens(f"/dashboard/conversations/{id}")
    assert "Take over" not in page.text.split("<main")[1].split("</main>")[0].replace("Take over to", "")
    for verb in ("take-over", "reply", "release", "close"):
        await browser.opens(f"/dashboard/conversations/{id}")
        answer = await browser.sends(f"/dashboard/conversations/{id}/{verb}", text="x")
        assert answer.status_code == 403, verb


@pytest.mark.parametrize("verb", ["take-over", "reply", "release", "close"])
async def test_a_stranger_meets_nothing(acme: Office, rival: Office, verb: str) -> None:
    id = await writes(acme, "Secret question")
    browser = await rival.enters(Role.OWNER)
    await browser.opens("/dashboard/conversations")
    assert "Secret" not in browser.text
    address = f"/dashboard/conversations/{id}"
    assert (await browser.opens(address)).status_code == 404
    assert (await browser.opens(f"{address}/events")).status_code == 404
    await browser.opens("/dashboard")
    assert (await browser.sends(f"{address}/{verb}", text="x")).status_code == 404
    assert (await browser.opens(f"/dashboard/conversations/{UUID(int=0)}")).status_code == 404
