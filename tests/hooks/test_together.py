"""What many people write at once is taken in together, and comes out as if each had come alone."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.hooks import meta
from tests.hooks.conftest import Shop
from tests.hooks.test_arrivals import told
from tests.queue.places import Places

from metachat.domain import channels, conversations
from metachat.domain.conversations import arrivals
from metachat.domain.conversations.together import store
from metachat.domain.conversations.together.arrivals import Reception
from metachat.foundation.ids import ConversationId, TenantId
from metachat.foundation.queue import Job
from metachat.foundation.queue import store as queue
from metachat.foundation.scope import open_scope
from metachat.wiring import PROVIDERS

PEOPLE = 12


async def crowd_writes(shop: Shop, chance: random.Random) -> None:
    """Everybody writes something: most a plain text, some several, a file, a sign, or nobody knows what."""
    for person in range(PEOPLE):
        sender = f"38591000{person:04}"
        for place in range(chance.choice((1, 1, 1, 2, 3))):
            form = chance.choice(("text", "text", "text", "image", "reaction", "unheard of"))
            at = str(1764000000 + person * 10 + place)
            name = f"wamid.{person}.{place}.{chance.random()}"
            said = meta.message(f"{person} asks {place}", sender, timestamp=at, id=name)
            if form == "image":
                said = {**said, "type": "image", "image": {"id": f"m{person}", "mime_type": "image/png"}}
            elif form == "reaction":
                said = {**said, "type": "reaction", "reaction": {"message_id": "wamid.none", "emoji": "x"}}
            elif form == "unheard of":
                said = {**said, "type": "text", "text": {"body": ""}}
            if form != "text":
                del said["text"]
            await shop.deliver(told(said))


async def seen(shop: Shop) -> dict[str, list[Any]]:
    """What the database holds, without what is different each time."""
    return {
        "people": await shop.rows("SELECT external_id, name, phone, locale FROM contacts ORDER BY 1"),
        "messages": await shop.rows(
            "SELECT p.external_id, m.seq, m.author, m.text, m.status, m.detail, m.provider_id, m.provider_at "
            "FROM messages m JOIN conversations c ON c.id = m.conversation_id "
            "JOIN contacts p ON p.id = c.contact_id ORDER BY 1, 2"
        ),
        "conversations": await shop.rows(
            "SELECT p.external_id, state, last_seq, last_text FROM conversations c "
            "JOIN contacts p ON p.id = c.contact_id ORDER BY 1"
        ),
        "events": await shop.rows(
            "SELECT p.external_id, e.kind FROM events e JOIN conversations c ON c.id = e.subject "
            "JOIN contacts p ON p.id = c.contact_id ORDER BY 1, 2"
        ),
        "inbox": await shop.rows("SELECT lane, state, error FROM inbox ORDER BY lane, id"),
        "jobs": await shop.rows(
            "SELECT p.external_id, j.kind, j.dedupe_key IS NOT NULL AS waits FROM jobs j "
            "JOIN conversations c ON j.lane = 'conversation:' || c.id JOIN contacts p ON p.id = c.contact_id "
            "ORDER BY 1, 2"
        ),
    }


@pytest.fixture
def alone(shop: Shop) -> Callable[[Job], Awaitable[None]]:
    """Takes a lane in by itself, as the rest does with what is not plain."""
    taken_alone = arrivals.take_in

    async def take_in(job: Job) -> None:
        await taken_alone(job, shop.worker, PROVIDERS)

    return take_in


async def _forget(shop: Shop) -> None:
    await shop.rows("DELETE FROM contacts")
    await shop.rows("DELETE FROM inbox")
    await shop.rows("DELETE FROM jobs")
    await shop.rows("DELETE FROM events")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("quiet", [0, 1.5])
async def test_together_is_as_alone(
    shop: Shop, alone: Callable[[Job], Awaitable[None]], seed: int, quiet: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    async with open_scope(shop.platform.database, shop.tenant, actor="test") as scope:
        settings = {**shop.channel.settings, "quiet_seconds": quiet}
        await channels.configure(scope, shop.channel.id, name="W", settings=settings, status="active")
    rest: list[tuple[int, str]] = []
    taken_alone = arrivals.take_in

    async def take_rest_in(job: Job, *more: Any) -> None:
        rest.append((len(rounds), job.lane))
        await taken_alone(job, *more)

    monkeypatch.setattr(arrivals, "take_in", take_rest_in)
    results = []
    rounds: list[int] = []
    # By statements for all of them, by the loop for a few, and each alone.
    for few, take_in in ((0, shop.take_in), (1000, shop.take_in), (0, alone)):
        monkeypatch.setattr(store, "FEW", few)
        monkeypatch.setattr(shop, "take_in", take_in)
        chance = random.Random(seed)
        for part in range(2):  # newcomers at first, known people the second time
            rounds.append(part)
            await crowd_writes(shop, chance)
            await shop.work()
        results.append(await seen(shop))
        await _forget(shop)
    together, in_a_loop, one_by_one = results
    assert len(together["messages"]) > PEOPLE
    assert together == one_by_one
    assert in_a_loop == one_by_one
    assert 0 < len(set(rest)) < 4 * PEOPLE  # in both, together and alone were gone


@pytest.mark.parametrize(
    ("calm", "quiet", "people", "heard"),
    [(True, 0, 2, 2), (True, 1.5, 2, 0), (True, 0, 3, 0), (False, 0, 2, 0)],
)
async def test_what_is_about_to_be_asked_is_told_early_and_in_calm_only(
    shop: Shop, calm: bool, quiet: float, people: int, heard: int
) -> None:
    async with open_scope(shop.platform.database, shop.tenant, actor="test") as scope:
        settings = {**shop.channel.settings, "quiet_seconds": quiet}
        await channels.configure(scope, shop.channel.id, name="W", settings=settings, status="active")
    foreseen: list[tuple[TenantId, str]] = []
    shop.reception = Reception(shop.worker, PROVIDERS, lambda tenant, text: foreseen.append((tenant, text)))
    for person in range(people):
        await shop.deliver(told(meta.message(f"question {person}", f"38591000{person:04}")))
    lanes = [row["lane"] for row in await shop.rows("SELECT lane FROM jobs")]
    async with shop.worker.transaction() as db:
        _, jobs = await queue.claim(db, "me:1:1.1", dict.fromkeys(lanes, shop.tenant), 60)
    todo = [job for of_lane in jobs.values() for job in of_lane]
    for job in todo:
        job.lease.places = Places(free=False, calm=calm)
    await asyncio.gather(*map(shop.take_in, todo))
    assert len(await shop.messages()) == people
    assert sorted(foreseen) == [(shop.tenant, f"question {person}") for person in range(heard)]


async def test_what_is_said_to_a_person_is_not_searched_for(shop: Shop) -> None:
    async with open_scope(shop.platform.database, shop.tenant, actor="test") as scope:
        settings = {**shop.channel.settings, "quiet_seconds": 0}
        await channels.configure(scope, shop.channel.id, name="W", settings=settings, status="active")
    foreseen: list[str] = []
    shop.places = Places(free=False)
    shop.reception = Reception(shop.worker, PROVIDERS, lambda _tenant, text: foreseen.append(text))

    async def writes(*texts: str) -> None:
        for text in texts:
            await shop.deliver(told(meta.message(text)))
            await shop.work()

    await writes("one")
    await shop.rows("UPDATE conversations SET state = 'assigned'")
    await writes("two", "three", "four")
    await shop.rows("UPDATE conversations SET state = 'assistant'")
    await writes("five", "six")
    # What has changed shows with the next message only.
    assert foreseen == ["one", "two", "six"]


async def test_one_that_the_database_refuses_harms_no_other(shop: Shop) -> None:
    await shop.rows(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN IF NEW.text = 'poison' THEN RAISE check_violation; END IF; RETURN NEW; END $$"
    )
    await shop.rows("CREATE TRIGGER refuse BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION refuse()")
    for person in range(5):
        text = "poison" if person == 2 else f"question {person}"
        await shop.deliver(told(meta.message(text, f"38591000{person:04}")))
    await shop.work()
    assert sorted(message["text"] for message in await shop.messages()) == [
        f"question {person}" for person in (0, 1, 3, 4)
    ]
    states = sorted(row["state"] for row in await shop.inbox())
    assert states == ["parsed"] * 4 + ["unparsed"]


async def test_a_closed_conversation_opens_again_and_a_silenced_one_stays_silent(
    shop: Shop, stranger: TenantId
) -> None:
    people = [f"38591000{person:04}" for person in range(3)]
    for sender in people:
        await shop.deliver(told(meta.message("first", sender)))
    await shop.work()
    ids = {
        row["external_id"]: ConversationId(row["id"])
        for row in await shop.rows(
            "SELECT external_id, c.id FROM conversations c JOIN contacts p ON p.id = c.contact_id"
        )
    }
    async with open_scope(shop.worker, shop.tenant, actor="worker") as scope:
        await conversations.close(scope, ids[people[0]])
        await conversations.hand_off(scope, ids[people[1]])
    await shop.rows("DELETE FROM jobs")
    for sender in people:
        await shop.deliver(told(meta.message("second", sender)))
    await shop.work()
    states = await shop.rows(
        "SELECT external_id, state FROM conversations c JOIN contacts p ON p.id = c.contact_id ORDER BY 1"
    )
    assert [row["state"] for row in states] == ["assistant", "waiting", "assistant"]
    turns = {row["lane"] for row in await shop.rows("SELECT lane FROM jobs WHERE kind = 'turn'")}
    assert turns == {f"conversation:{ids[people[0]]}", f"conversation:{ids[people[2]]}"}
    assert not await shop.rows("SELECT FROM messages WHERE tenant_id = $1", stranger)


async def test_a_newcomer_with_two_names_is_one_person(shop: Shop) -> None:
    for sender in ("38591000001", "38591000002"):
        await shop.deliver(told(meta.message("by number", sender)))
    await shop.work()
    # The same telephone, now told beside the channel's own id.
    for number, phone in enumerate(("38591000001", "38591000003")):
        said = {**meta.message("by id", phone), "from_user_id": f"HR.{number}"}
        value = meta.value(said)
        value["contacts"] = [{"wa_id": phone, "user_id": f"HR.{number}", "profile": {"name": "Ana"}}]
        await shop.deliver(meta.change(value))
    await shop.work()
    people = await shop.rows(
        "SELECT p.external_id, p.phone, count(*) AS said FROM messages m "
        "JOIN conversations c ON c.id = m.conversation_id JOIN contacts p ON p.id = c.contact_id "
        "GROUP BY 1, 2 ORDER BY 1"
    )
    assert [tuple(person.values()) for person in people] == [
        ("38591000002", None, 1), ("HR.0", "38591000001", 2), ("HR.1", "38591000003", 1),
    ]  # fmt: skip
