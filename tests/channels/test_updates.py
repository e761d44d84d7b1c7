"""Updates that had no effect: seen with reason and payload, understood again, one or all of a reason."""

import json

import pytest
from tests.hooks import meta
from tests.hooks.conftest import Shop
from tests.web.conftest import Office, Person

from metachat.domain.accounts import Role


@pytest.fixture
async def admin(shop: Shop, acme: Office) -> Person:
    """The shop's administrator, after something came that nobody understands."""
    await shop.send(
        b'{"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [{"field": "news"}]}]}'
    )
    await shop.send(b"\xff not JSON <script>alert(1)</script>")
    for number in range(3):
        item = {
            "id": f"wamid.{number}",
            "status": "teleported",
            "timestamp": "1764000000",
            "recipient_id": "1",
        }
        await shop.deliver(meta.change(meta.value(statuses=[item])))
    await shop.work()
    return await acme.enters(Role.ADMIN)


async def listed(person: Person, query: str = "") -> list[dict[str, object]]:
    """The updates as the API lists them."""
    answer = await person.sends("GET", f"/api/v1/updates{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def test_they_are_listed_with_reasons_and_shown_with_their_payload(admin: Person) -> None:
    found = await listed(admin)
    assert len(found) == 5
    ids = [int(str(one["id"])) for one in found]
    assert ids == sorted(ids, reverse=True)
    assert {one["kind"] for one in found} == {"unknown", "malformed", "status"}
    unknown = next(one for one in found if one["kind"] == "unknown")
    shown = (await admin.sends("GET", f"/api/v1/updates/{unknown['id']}")).json()
    assert json.loads(shown["payload"])["entry"][0]["changes"] == [{"field": "news"}]
    broken = next(one for one in found if one["kind"] == "malformed")
    shown = (await admin.sends("GET", f"/api/v1/updates/{broken['id']}")).json()
    assert shown["payload"].startswith("\\xff not JSON")
    reasons = (await admin.sends("GET", "/api/v1/updates/reasons")).json()
    assert reasons[0]["updates"] == 3
    pages = (await admin.sends("GET", "/api/v1/updates?limit=2")).json()
    rest = await listed(admin, f"?cursor={pages['next_cursor']}")
    assert [one["id"] for one in pages["items"]] + [one["id"] for one in rest] == [one["id"] for one in found]


async def test_one_is_understood_again(shop: Shop, admin: Person) -> None:
    [row] = await shop.rows("SELECT id, payload FROM inbox WHERE kind = 'status' ORDER BY id LIMIT 1")
    # The parser was mended meanwhile: here, the payload is.
    await shop.rows(
        "UPDATE inbox SET payload = $1 WHERE id = $2",
        row["payload"].replace(b"teleported", b"delivered"), row["id"],
    )  # fmt: skip
    answer = await admin.sends("POST", f"/api/v1/updates/{row['id']}/replay")
    assert answer.status_code == 202, answer.text
    again = await admin.sends("POST", f"/api/v1/updates/{row['id']}/replay")
    assert (again.status_code, again.json()["code"]) == (409, "update_waits")
    await shop.work()
    [after] = await shop.rows("SELECT state FROM inbox WHERE id = $1", row["id"])
    assert after["state"] == "parsed"
    trail = (await admin.sends("GET", "/api/v1/audit")).json()["items"]
    assert trail[0]["action"] == "update.replayed"


async def test_all_of_a_reason_are_understood_again_each_once(shop: Shop, admin: Person) -> None:
    reason = (await admin.sends("GET", "/api/v1/updates/reasons")).json()[0]["reason"]
    done = (await admin.sends("POST", "/api/v1/updates/replay", json={"reason": reason})).json()
    assert done == {"updates": 3, "next_after": None}
    assert len(await shop.rows("SELECT id FROM inbox WHERE state = 'new'")) == 3
    await shop.work()
    assert len(await listed(admin)) == 5  # not understood again, and nothing was lost


async def test_what_had_no_effect_on_purpose_is_listed_apart(shop: Shop, admin: Person) -> None:
    await shop.deliver(meta.change(meta.value(meta.message(), number="999")))
    await shop.work()
    [one] = await listed(admin, "?state=ignored")
    assert "999" in str(one["reason"])


async def test_a_stranger_sees_and_replays_nothing(shop: Shop, admin: Person, rival: Office) -> None:
    stranger = await rival.enters(Role.OWNER)
    assert await listed(stranger) == []
    id = (await listed(admin))[0]["id"]
    assert (await stranger.sends("GET", f"/api/v1/updates/{id}")).status_code == 404
    assert (await stranger.sends("POST", f"/api/v1/updates/{id}/replay")).status_code == 404
    reason = (await admin.sends("GET", "/api/v1/updates/reasons")).json()[0]["reason"]
    done = await stranger.sends("POST", "/api/v1/updates/replay", json={"reason": reason})
    assert done.json()["updates"] == 0
    assert await shop.rows("SELECT id FROM inbox WHERE state = 'new'") == []


async def test_lesser_roles_do_not_read_what_customers_wrote(shop: Shop, admin: Person, acme: Office) -> None:
    agent = await acme.enters(Role.AGENT)
    id = (await listed(admin))[0]["id"]
    for path in ("/api/v1/updates", f"/api/v1/updates/{id}", "/api/v1/updates/reasons"):
        assert (await agent.sends("GET", path)).status_code == 403, path
