"""Trouble on demand: refusals, silence, connections that break before and after the message counts."""

import time

import httpx
import pytest
from tests.simulate.conftest import ANA, Business, Door, code_of

from metachat.simulate import Meta, Refused


@pytest.mark.parametrize(
    ("code", "status"), [(131056, 429), (130429, 429), (131000, 500), (131016, 503), (368, 403)]
)
def test_an_error_comes_as_often_as_told_and_nothing_arrives(
    meta: Meta, business: Business, code: int, status: int
) -> None:
    meta.fails("error", code=code, times=2)
    assert [code_of(business.sends()) for _ in range(2)] == [(status, code)] * 2
    assert not meta.arrivals()
    business.says("Now it goes through")
    assert not meta.state()["rules"]


def test_a_bare_status_has_no_document(meta: Meta, business: Business) -> None:
    meta.fails("status", code=502, times=1)
    answer = business.sends()
    assert answer.status_code == 502
    assert answer.text.startswith("<html>")


def test_only_one_persons_messages_may_be_concerned(meta: Meta, business: Business) -> None:
    meta.says("436641234567", "Hello")
    meta.fails("error", code=131056, to=ANA)
    assert business.sends(ANA).status_code == 429
    business.says("Hello Jonas", "436641234567")
    meta.recovers()
    business.says("Hello Ana")


def test_cut_before_it_counts_nothing_arrives_and_cut_after_it_does(
    meta: Meta, door: Door, business: Business
) -> None:
    meta.fails("cut", times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        business.sends()
    assert not meta.arrivals()
    meta.fails("cut_after", times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        business.sends(type="text", text={"body": "Hello"}, biz_opaque_callback_data="our id")
    (heard,) = meta.arrivals()
    assert heard.callback_data == "our id"
    meta.until(door.reported)
    assert door.reported()[0]["biz_opaque_callback_data"] == "our id", "how it is found out afterwards"


def test_slow_is_answered_late_and_a_timeout_never(meta: Meta, business: Business) -> None:
    meta.fails("slow", seconds=0.3, times=1)
    began = time.monotonic()
    business.says("Hello")
    assert time.monotonic() - began >= 0.3
    meta.fails("timeout", seconds=30, times=1)
    with pytest.raises(httpx.ReadTimeout):
        business.client.post(
            f"/{meta.account.phone_number_id}/messages", timeout=0.3,
            json={"messaging_product": "whatsapp", "to": ANA, "type": "text", "text": {"body": "Hello"}},
        )  # fmt: skip
    assert len(meta.arrivals()) == 1


def test_offline_nothing_goes_either_way_and_then_everything(
    meta: Meta, door: Door, business: Business
) -> None:
    meta.until(lambda: not meta.state()["waiting"])
    before = len(door.messages())
    meta.weather(offline=True)
    with pytest.raises(httpx.RemoteProtocolError):
        business.sends()
    meta.says(ANA, "Can you hear me?")
    meta.until(lambda: meta.state()["deliveries"]["unreachable"])
    assert len(door.messages()) == before
    meta.weather(offline=False)
    meta.until(lambda: len(door.messages()) == before + 1)
    business.says("Yes")


def test_unplugged_connections_are_refused_until_it_is_plugged_in(meta: Meta, business: Business) -> None:
    business.says("Hello")
    meta.unplug(0.5)
    with pytest.raises(httpx.TransportError):
        business.sends()
    with pytest.raises(httpx.ConnectError):
        business.sends()

    def is_back() -> bool:
        try:
            return business.sends().status_code == 200
        except httpx.TransportError:
            return False

    meta.until(is_back)
    assert len(meta.arrivals()) == 2, "what it remembers outlives it"


def test_what_makes_no_sense_is_refused_with_a_reason(meta: Meta) -> None:
    with pytest.raises(Refused, match="kind is one of"):
        meta.fails("storm")
    with pytest.raises(Refused, match="not a part of the weather"):
        meta.weather(rain=1)
    with pytest.raises(Refused, match="out of bounds"):
        meta.weather(duplicates=-1)
    with pytest.raises(Refused, match="number_per_second"):
        meta.rates(number_per_second=0)
    with pytest.raises(Refused, match="5 to 15 digits"):
        meta.says("12", "Hello")
    with pytest.raises(Refused, match="404"):
        meta.thread(ANA)


def test_a_burst_keeps_its_pace(meta: Meta, door: Door) -> None:
    burst = meta.burst(rate=200, count=100, phones=10, text="Question {n} of {phone}")
    began = time.monotonic()
    meta.until(lambda: meta.is_over(burst))
    assert 0.4 <= time.monotonic() - began < 5
    meta.until(lambda: len(door.messages()) == 100)
    sent = meta.sent()
    assert len({item.phone for item in sent}) == 10
    assert sent[7].text == f"Question 7 of {sent[7].phone}"
    assert all(item.acknowledged_at is not None and item.acknowledged_at >= item.at for item in meta.sent())
