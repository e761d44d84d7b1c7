"""The Graph API answers as Meta's does, with its documents, limits and refusals."""

import hashlib
from typing import Any

import httpx
import pytest
from tests.simulate.conftest import ANA, Business, code_of

from metachat.simulate import Meta, files

JONAS = "436641234567"
HELLO = {"type": "template", "template": {"name": "hello_world", "language": {"code": "en_US"}}}


def test_a_message_is_accepted_and_shown(meta: Meta, business: Business) -> None:
    question = meta.thread(ANA)[0]
    answer = business.sends(
        type="text", text={"body": "Hello Ana"}, context={"message_id": question.id},
        biz_opaque_callback_data="7",
    )  # fmt: skip
    document = answer.json()
    assert document["contacts"] == [{"input": ANA, "wa_id": ANA}]
    (heard,) = meta.arrivals()
    assert heard.id == document["messages"][0]["id"]
    assert (heard.text, heard.reply_to, heard.callback_data) == ("Hello Ana", question.id, "7")


@pytest.mark.parametrize(
    ("token", "refusal"),
    [(None, (401, 104)), ("EAA-nobody-gave-this-one", (401, 190))],
)
def test_without_a_good_token_nothing_is_said(
    meta: Meta, business: Business, token: str | None, refusal: tuple[int, int]
) -> None:
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    number = meta.account.phone_number_id
    answer = httpx.post(f"{meta.address}/v23.0/{number}/messages", json={}, headers=headers)
    assert code_of(answer) == refusal
    assert not meta.arrivals()


def test_a_token_expires_and_is_renewed(meta: Meta, business: Business) -> None:
    meta.change(grant="expired")
    answer = business.sends()
    assert code_of(answer) == (401, 190)
    assert answer.json()["error"]["error_subcode"] == 463
    meta.change(grant="valid")
    business.says("Hello")


def test_a_strangers_token_sees_nothing_of_this_business(
    meta: Meta, business: Business, stranger: Business
) -> None:
    account = meta.account
    for path in (account.phone_number_id, account.waba_id, f"{account.waba_id}/phone_numbers"):
        answer = stranger.client.get(f"/{path}")
        assert code_of(answer) == (400, 100)
        assert answer.json()["error"]["error_subcode"] == 33
        assert business.client.get(f"/{path}").status_code == 200
    body = {"messaging_product": "whatsapp", "to": ANA, "type": "text", "text": {"body": "Hello"}}
    assert code_of(stranger.client.post(f"/{account.phone_number_id}/messages", json=body)) == (400, 100)
    assert not meta.arrivals()


def test_after_a_day_of_silence_only_a_template_reaches_a_person(meta: Meta, business: Business) -> None:
    business.says("Within the day")
    meta.call("POST", f"phones/{ANA}/idle", {"hours": 25})
    assert code_of(business.sends()) == (400, 131047)
    assert code_of(business.sends(JONAS)) == (400, 131047), "who never wrote has been silent for ever"
    assert business.sends(**HELLO).json()["messages"][0]["message_status"] == "accepted"
    meta.says(ANA, "Here again")
    business.says("Welcome back")


def test_errors_may_come_later_in_a_status(meta: Meta, business: Business) -> None:
    meta.habits(late_errors=True, sent=0.01)
    meta.call("POST", f"phones/{ANA}/idle", {"hours": 25})
    assert business.sends().status_code == 200
    (failed,) = meta.until(lambda: [item for item in meta.arrivals() if item.step == "failed"])
    assert failed.error is not None
    assert failed.error["code"] == 131047


def test_one_person_gets_so_many_and_a_number_sends_so_many(meta: Meta, business: Business) -> None:
    meta.rates(number_per_second=1_000, pair_burst=5, pair_seconds=600)
    assert [business.sends().status_code for _ in range(6)] == [200] * 5 + [429]
    assert code_of(business.sends()) == (429, 131056)
    meta.says(JONAS, "Hello")
    business.says("Others are not concerned", JONAS)
    meta.rates(number_per_second=3, pair_seconds=0)
    answers = [business.sends() for _ in range(8)]
    assert code_of(answers[-1]) == (429, 130429)
    assert len(meta.arrivals()) < 14, "what is refused does not arrive"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"type": "text", "text": {"body": "x" * 4_097}}, 100),
        ({"type": "text", "text": {}}, 131008),
        ({"type": "poll", "poll": {}}, 100),
        ({"type": "template", "template": {"name": "nobody", "language": {"code": "en"}}}, 132001),
        ({"type": "template", "template": {"name": "order_update", "language": {"code": "en"}}}, 132000),
        ({"type": "template", "template": {"name": "summer_sale", "language": {"code": "en"}}}, 132015),
        ({"type": "image", "image": {"id": "12345"}}, 131053),
        ({"type": "text", "text": {"body": "x"}, "biz_opaque_callback_data": "x" * 513}, 131009),
    ],
)
def test_what_cannot_be_sent_is_refused(
    meta: Meta, business: Business, message: dict[str, Any], code: int
) -> None:
    assert code_of(business.sends(**message))[1] == code
    assert not meta.arrivals()


def test_up_to_three_buttons_can_be_offered_and_one_be_tapped(meta: Meta, business: Business) -> None:
    def offered(*titles: str) -> httpx.Response:
        buttons = [{"type": "reply", "reply": {"id": title, "title": title}} for title in titles]
        action = {"type": "button", "body": {"text": "Well?"}, "action": {"buttons": buttons}}
        return business.sends(type="interactive", interactive=action)

    assert code_of(offered("a", "b", "c", "d"))[1] == 131009
    assert code_of(offered("a", "a"))[1] == 131009
    assert code_of(offered("x" * 21))[1] == 131009
    assert offered("Yes", "No").status_code == 200
    tapped = meta.says(ANA, type="button", id="Yes", title="Yes", reply_to=meta.arrivals()[-1].id)
    assert tapped.body == {"type": "button_reply", "button_reply": {"id": "Yes", "title": "Yes"}}


def test_a_template_is_filled_and_its_buttons_answered(meta: Meta, business: Business) -> None:
    words = [{"type": "text", "text": "Ana"}, {"type": "text", "text": "1044"}]
    template = {
        "name": "order_update", "language": {"code": "en"},
        "components": [{"type": "body", "parameters": words}],
    }  # fmt: skip
    assert business.sends(type="template", template=template).status_code == 200
    (heard,) = meta.arrivals()
    assert heard.text == "Hello Ana, your order 1044 is on its way."
    tapped = meta.says(ANA, type="button", title="Track", reply_to=heard.id)
    assert (tapped.type, tapped.body["text"]) == ("button", "Track")


def test_a_customer_sees_what_is_read_and_written(meta: Meta, business: Business) -> None:
    first, second = meta.thread(ANA)[0], meta.says(ANA, "And?")
    body = {"messaging_product": "whatsapp", "status": "read", "typing_indicator": {"type": "text"}}
    path = f"/{meta.account.phone_number_id}/messages"
    assert business.client.post(path, json={**body, "message_id": "wamid.nothing"}).status_code == 400
    assert business.client.post(path, json={**body, "message_id": second.id}).json() == {"success": True}
    assert [item.step for item in meta.thread(ANA)] == ["read", "read"], "all before it are read as well"
    assert first.step == "waiting"


def test_a_file_goes_up_and_comes_down_for_its_owner_alone(
    meta: Meta, business: Business, stranger: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 400
    id = _uploaded(business, content, "image/png").json()["id"]
    about = business.client.get(f"/{id}").json()
    assert about["sha256"] == hashlib.sha256(content).hexdigest()
    assert (about["file_size"], about["mime_type"]) == (len(content), "image/png")
    assert stranger.client.get(f"/{id}").status_code == 400
    assert httpx.get(about["url"]).status_code == 401
    assert stranger.client.get(about["url"]).status_code == 404
    assert business.client.get(about["url"]).content == content
    assert business.sends(type="image", image={"id": id, "caption": "A tent"}).status_code == 200
    assert code_of(business.sends(type="audio", audio={"id": id}))[1] == 131053
    later = files.now() + files.URL_SECONDS + 1
    monkeypatch.setattr(files, "now", lambda: later)
    assert business.client.get(about["url"]).status_code == 404, "its five minutes are over"
    assert business.client.get(business.client.get(f"/{id}").json()["url"]).content == content
    assert business.client.delete(f"/{id}").json() == {"success": True}
    assert business.client.get(f"/{id}").status_code == 400


def test_what_is_no_file_for_whatsapp_is_refused(business: Business) -> None:
    assert code_of(_uploaded(business, b"MZ", "application/x-msdownload"))[1] == 100
    assert code_of(_uploaded(business, b"x" * (5 * 1024 * 1024 + 1), "image/jpeg"))[1] == 131053


def test_a_customers_picture_can_be_fetched(meta: Meta, business: Business) -> None:
    sent = meta.says(ANA, type="image", media=meta.attach(b"\xff\xd8\xff\xe0 picture", "image/jpeg"))
    about = business.client.get(f"/{sent.body['id']}").json()
    assert business.client.get(about["url"]).content == b"\xff\xd8\xff\xe0 picture"


def test_what_a_doctor_asks_is_answered(meta: Meta, business: Business, stranger: Business) -> None:
    account, client = meta.account, business.client
    token = client.get("/debug_token", params={"input_token": account.access_token}).json()["data"]
    assert token["is_valid"]
    assert "whatsapp_business_messaging" in token["scopes"]
    assert token["granular_scopes"][0]["target_ids"] == [account.waba_id]
    wrong = client.get("/debug_token", params={"input_token": "EAAwrong"}).json()["data"]
    assert not wrong["is_valid"]
    number = client.get(f"/{account.phone_number_id}?fields=display_phone_number,quality_rating,throughput")
    assert number.json()["quality_rating"] == "GREEN"
    assert number.json().keys() == {"display_phone_number", "quality_rating", "throughput", "id"}
    numbers = client.get(f"/{account.waba_id}/phone_numbers").json()["data"]
    assert [one["id"] for one in numbers] == [account.phone_number_id]
    templates = client.get(f"/{account.waba_id}/message_templates").json()["data"]
    assert {"hello_world", "order_update"} <= {one["name"] for one in templates}


def test_an_app_is_subscribed_and_unsubscribed(meta: Meta, business: Business) -> None:
    path = f"/{meta.account.waba_id}/subscribed_apps"
    assert business.client.delete(path).json() == {"success": True}
    assert business.client.get(path).json() == {"data": []}
    refused = business.client.post(
        path, json={"override_callback_uri": "http://127.0.0.1:9/", "verify_token": "x"}
    )
    assert code_of(refused) == (400, 2200)
    assert business.client.post(path).json() == {"success": True}
    (app,) = business.client.get(path).json()["data"]
    assert app["whatsapp_business_api_data"]["id"] == meta.account.app_id


def _uploaded(business: Business, content: bytes, media_type: str) -> httpx.Response:
    return business.client.post(
        f"/{business.account.phone_number_id}/media",
        data={"messaging_product": "whatsapp", "type": media_type},
        files={"file": ("a file", content, media_type)},
    )
