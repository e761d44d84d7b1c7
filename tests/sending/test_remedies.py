"""What each of Meta's refusals leads to."""

import pytest

from metachat.domain.channels import WindowClosed
from metachat.domain.channels.whatsapp.remedies import failure, judge


def refusal(code: int | str, **more: object) -> dict[str, object]:
    return {"error": {"message": f"(#{code}) Something", "type": "OAuthException", "code": code, **more}}


@pytest.mark.parametrize("code", [4, 80007, 130429, 131048, 131056])
def test_throttling_only_waits(code: int) -> None:
    assert judge(429, refusal(code)).remedy == "wait"
    assert judge(429, refusal(code), after=17.0).after == 17.0
    assert not judge(429, refusal(code)).unsure


def test_one_person_is_not_written_to_again_at_once() -> None:
    assert judge(429, refusal(131056)).after == 6


@pytest.mark.parametrize("code", [131026, 131052, 131053, 131051, 131009])
def test_what_can_never_arrive_is_given_up(code: int) -> None:
    assert judge(400, refusal(code)).remedy == "give_up"


@pytest.mark.parametrize("code", [132000, 132001, 132015, 132999])
def test_a_template_is_the_tenants_to_mend_and_fails_its_message(code: int) -> None:
    told = judge(400, refusal(code))
    assert (told.remedy, told.concerns, told.cause) == ("tell", "message", "template")


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (190, "token"),
        (0, "token"),
        (368, "blocked"),
        (131031, "blocked"),
        (131042, "payment"),
        (200, "rights"),
    ],
)
def test_what_stops_the_whole_channel_is_told_and_its_messages_wait(code: int, cause: str) -> None:
    told = judge(401, refusal(code))
    assert (told.remedy, told.concerns, told.cause) == ("tell", "channel", cause)


def test_a_wrong_number_concerns_the_channel_and_a_wrong_parameter_the_message() -> None:
    assert judge(400, refusal(100, error_subcode=33)).cause == "number"
    assert judge(400, refusal(100)).remedy == "give_up"


def test_the_closed_window_is_known_by_its_class() -> None:
    assert isinstance(judge(400, refusal(131047)), WindowClosed)
    assert not isinstance(judge(400, refusal(131026)), WindowClosed)


@pytest.mark.parametrize(
    ("status", "answer", "remedy", "unsure"),
    [
        (500, refusal(131000), "retry", False),  # Meta itself says that it did not take it
        (500, refusal(999_999), "retry", False),
        (502, None, "retry", True),  # a gateway cannot know
        (503, "not a document", "retry", True),
        (200, None, "retry", True),
        (429, None, "wait", False),
        (429, refusal(999_999), "wait", False),
        (401, None, "tell", False),
        (400, refusal(999_999), "give_up", False),
        (404, refusal("nonsense"), "give_up", False),
        (400, {"error": "a text"}, "give_up", False),
        (400, [1], "give_up", False),
    ],
)
def test_unknown_codes_are_judged_by_their_status(
    status: int, answer: object, remedy: str, unsure: bool
) -> None:
    told = judge(status, answer)
    assert (told.remedy, told.unsure) == (remedy, unsure)
    assert told.reason


def test_codes_may_come_as_texts() -> None:
    assert judge(429, refusal("130429")).remedy == "wait"


def test_a_failure_that_is_told_later_reads_the_same() -> None:
    told = failure({"code": "131026", "title": "Message undeliverable", "detail": "Not on WhatsApp"})
    assert (told["code"], told["remedy"]) == ("131026", "give_up")
    assert "Not on WhatsApp" in told["reason"]
