"""Webhooks: signed, handed over until somebody says 200, gathered, doubled, held back."""

import itertools

import pytest
from tests.simulate.conftest import ANA, Business, Door, signed

from metachat.simulate import Meta, Refused
from metachat.simulate.weather import Chance, Weather


def test_a_message_arrives_signed_with_the_apps_secret_over_its_raw_bytes(meta: Meta, door: Door) -> None:
    sent = meta.says(ANA, "Where is my tent? ⛺")
    meta.until(lambda: door.posts)
    (post,) = door.posts
    assert post.signature == signed(meta.account.app_secret, post.body)
    assert post.signature != signed("another app's secret", post.body)
    (value,) = post.values
    (message,) = value["messages"]
    assert (message["id"], message["from"], message["text"]["body"]) == (sent.id, ANA, "Where is my tent? ⛺")
    assert value["metadata"]["phone_number_id"] == meta.account.phone_number_id
    assert value["contacts"][0]["wa_id"] == ANA
    assert value["contacts"][0]["user_id"] == message["from_user_id"]


def test_a_person_without_a_number_is_known_by_their_user_id_alone(meta: Meta, door: Door) -> None:
    phone = meta.call("POST", "phones", {"phone": ANA, "username": "ana", "without_number": True})
    meta.says(ANA, "Hello")
    meta.until(door.messages)
    (value,) = door.posts[0].values
    assert ANA not in door.posts[0].body.decode()
    assert value["messages"][0]["from_user_id"] == phone["user_id"]
    assert value["contacts"][0]["profile"]["username"] == "ana"


def test_an_address_that_does_not_repeat_the_challenge_gets_nothing(meta: Meta, door: Door) -> None:
    door.verify_token = "another token"
    with pytest.raises(Refused, match="challenge"):
        meta.connect(door.address)
    door.verify_token = meta.account.verify_token
    meta.connect(door.address)


def test_whoever_is_not_subscribed_hears_nothing(meta: Meta, door: Door, stranger: Business) -> None:
    meta.change(subscribed=False)
    meta.says(ANA, "Is anybody there?")
    meta.change(subscribed=True)
    # The stranger never named an address; Ana's second message is the only one that anybody hears.
    meta.says(ANA, "And you?", account=stranger.account.phone_number_id)
    meta.says(ANA, "Now?")
    meta.until(door.messages)
    assert [message["text"]["body"] for message in door.messages()] == ["Now?"]


def test_what_is_not_acknowledged_comes_again_ever_more_slowly_byte_for_byte(meta: Meta, door: Door) -> None:
    door.statuses.extend([500, 503, 404, 301, 202])
    meta.says(ANA, "Hello")
    meta.until(lambda: len(door.posts) == 6)
    assert len({post.body for post in door.posts}) == 1
    pauses = [later.at - earlier.at for earlier, later in itertools.pairwise(door.posts)]
    assert pauses[0] < pauses[2] < pauses[4]
    (shown,) = meta.until(lambda: [item for item in meta.thread(ANA) if item.step == "delivered"])
    assert shown.attempts == 6
    state = meta.state()
    assert (state["waiting"], state["deliveries"]["refused"]) == (0, 5)


def test_a_door_that_is_away_gets_everything_once_it_is_back(meta: Meta, door: Door) -> None:
    meta.connect("http://127.0.0.1:9/nobody", handshake=False)
    sent = [meta.says(ANA, f"Message {number}").id for number in range(20)]
    meta.until(lambda: meta.state()["deliveries"]["unreachable"] >= 20)
    meta.connect(door.address)
    meta.until(lambda: len(door.messages()) == 20)
    assert {message["id"] for message in door.messages()} == set(sent)


def test_a_duplicate_is_the_same_message_again(meta: Meta, door: Door) -> None:
    meta.weather(duplicates=1.0)
    sent = [meta.says(ANA, f"Message {number}").id for number in range(10)]
    meta.until(lambda: len(door.messages()) == 20)
    assert sorted(message["id"] for message in door.messages()) == sorted(sent * 2)


def test_with_reordering_later_ones_overtake_and_without_it_none_does(meta: Meta, door: Door) -> None:
    straight = [meta.says(ANA, f"Message {number}").id for number in range(30)]
    meta.until(lambda: len(door.messages()) == 30)
    assert [message["id"] for message in door.messages()] == straight
    door.posts.clear()
    meta.weather(reorder=0.5, reorder_seconds=0.2)
    crossed = [meta.says(ANA, f"Message {number}").id for number in range(30)]
    meta.until(lambda: len(door.messages()) == 30)
    arrived = [message["id"] for message in door.messages()]
    assert sorted(arrived) == sorted(crossed)
    assert arrived != crossed


def test_chance_is_the_same_for_the_same_seed() -> None:
    def thrown(seed: int) -> list[list[float]]:
        chance = Chance(Weather(duplicates=0.3, reorder=0.3, delay=1.0))
        chance.seed(seed)
        return [chance.pauses() for _ in range(50)]

    assert thrown(7) == thrown(7)
    assert thrown(7) != thrown(8)


def test_what_was_withheld_comes_in_batches_of_up_to_a_thousand(meta: Meta, door: Door) -> None:
    meta.weather(withheld=True)
    _bursts(meta, rate=5_000, count=1_500)
    assert not door.posts
    meta.weather(withheld=False)
    meta.until(lambda: len(door.messages()) == 1_500)
    sizes = [len(post.values) for post in door.posts]
    assert max(sizes) <= 1_000
    assert len(sizes) < 10
    door.posts.clear()
    meta.weather(withheld=True, batch=1)
    _bursts(meta, rate=1_000, count=20)
    meta.weather(withheld=False)
    meta.until(lambda: len(door.messages()) == 20)
    assert {len(post.values) for post in door.posts} == {1}


def test_statuses_follow_a_reply_in_order_with_its_callback_data(
    meta: Meta, door: Door, business: Business
) -> None:
    meta.habits(sent=0.01, delivered=0.03, read=0.05)
    id = business.says("It is on its way", biz_opaque_callback_data="our own id")
    meta.until(lambda: len(door.reported()) == 3)
    assert [status["status"] for status in door.reported()] == ["sent", "delivered", "read"]
    assert {(status["id"], status["biz_opaque_callback_data"]) for status in door.reported()} == {
        (id, "our own id")
    }
    assert meta.arrivals()[-1].step == "read"


def test_who_cannot_be_reached_is_told_of_later(meta: Meta, door: Door, business: Business) -> None:
    meta.habits(sent=0.01)
    meta.call("POST", "phones", {"phone": ANA, "reachable": False})
    business.says("Hello?")
    meta.until(door.reported)
    (status,) = door.reported()
    assert (status["status"], status["errors"][0]["code"]) == ("failed", 131026)


def test_every_kind_of_message_is_written_as_meta_writes_it(meta: Meta, door: Door) -> None:
    picture = meta.attach(b"\xff\xd8\xff\xe0 a picture", "image/jpeg")
    first = meta.says(ANA, "Hello")
    meta.says(ANA, type="image", media=picture, caption="My tent")
    meta.says(ANA, type="audio", media=meta.attach(b"OggS", "audio/ogg; codecs=opus"), voice=True)
    meta.says(ANA, type="document", media=meta.attach(b"%PDF-1.7", "application/pdf"), filename="bill.pdf")
    meta.says(ANA, type="location", latitude=47.07, longitude=15.44, name="Schlossberg")
    meta.says(ANA, type="contacts", contacts=[{"name": {"formatted_name": "Marko"}}])
    meta.says(ANA, type="list", id="2", title="Boots", reply_to=first.id)
    meta.says(ANA, type="button", id="yes", title="Yes")
    meta.says(ANA, type="reaction", message=first.id, emoji="👍")
    meta.says(ANA, type="edit", message=first.id, text="Good day")
    meta.says(ANA, type="delete", message=first.id)
    meta.says(ANA, type="unsupported")
    meta.until(lambda: len(door.messages()) == 12)
    found = {message["type"]: message for message in door.messages()}
    assert found["image"]["image"]["caption"] == "My tent"
    assert found["audio"]["audio"]["voice"] is True
    assert found["document"]["document"]["filename"] == "bill.pdf"
    assert found["location"]["location"]["name"] == "Schlossberg"
    assert found["interactive"]["interactive"]["type"] in ("button_reply", "list_reply")
    assert found["reaction"]["reaction"] == {"message_id": first.id, "emoji": "👍"}
    assert found["edit"]["edit"]["message"]["text"]["body"] == "Good day"
    assert found["revoke"]["revoke"]["original_message_id"] == first.id
    assert found["unsupported"]["errors"][0]["code"] == 131051
    assert "edit" not in {item.type for item in meta.thread(ANA)}, "what changes a message is none itself"


def test_the_businesss_own_app_and_the_account_are_told_of(meta: Meta, door: Door) -> None:
    meta.says(ANA, "Hello")
    meta.call("POST", f"phones/{ANA}/app", {"text": "Marko here"})
    meta.call("POST", f"phones/{ANA}/number", {"new": "385919999999"})
    value = {"event": "APPROVED", "message_template_name": "order_update"}
    meta.call("POST", "updates", {"field": "message_template_status_update", "value": value})
    meta.until(lambda: len([value for post in door.posts for value in post.values]) == 4)
    values = [value for post in door.posts for value in post.values]
    (echo,) = [value["message_echoes"][0] for value in values if "message_echoes" in value]
    assert (echo["to"], echo["text"]["body"]) == (ANA, "Marko here")
    (moved,) = [message for message in door.messages() if message["type"] == "system"]
    assert moved["system"]["wa_id"] == "385919999999"
    assert value in values


def _bursts(meta: Meta, rate: float, count: int) -> None:
    burst = meta.burst(rate, count, phones=1)
    meta.until(lambda: meta.is_over(burst))
