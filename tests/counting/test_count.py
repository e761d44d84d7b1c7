"""The count itself: it finds what was lost, doubled, repeated or out of order, and tells them apart."""

from dataclasses import replace
from typing import Any

from tests.counting.count import Count, count

from metachat.simulate import Seen

ASKED = Seen(
    1, "wamid.1", "385", "phone", "text", None, "q-1 asks", at=10.0, step="read", account="1", reply_to=None,
    callback_data=None, acknowledged_at=10.1, told_at=None, attempts=1, error=None,
)  # fmt: skip
QUESTIONS = [ASKED, replace(ASKED, number=2, id="wamid.2", text="q-2 asks", at=11.0, acknowledged_at=11.1)]


def reply(number: int, text: str, callback: str, **more: Any) -> Seen:
    """What a phone heard."""
    given: dict[str, Any] = {
        "side": "business",
        "id": f"wamid.r{number}",
        "told_at": number + 10.5,
        "at": number + 10.0,
    }
    return replace(ASKED, number=number, text=text, callback_data=callback, **(given | more))


def counted(*replies: Seen) -> Count:
    """The count of these replies to the two questions."""
    return count(QUESTIONS, replies)


def test_all_is_well() -> None:
    found = counted(reply(3, "q-1", "a"), reply(4, "q-2", "b"))
    assert (found.asked, found.acknowledged, found.answered) == (2, 2, 2)
    wrong = [found.lost, found.doubled, found.repeated, found.unavoidable, found.disordered]
    assert not any(wrong)
    assert counted(reply(3, "q-1 q-2", "a")).answered == 2, "one reply may answer both"


def test_what_was_acknowledged_and_has_no_answer_is_lost() -> None:
    assert counted(reply(3, "q-1", "a")).lost == ["q-2"]
    never = replace(QUESTIONS[1], acknowledged_at=None)
    assert not count([ASKED, never], [reply(3, "q-1", "a")]).lost, "nobody promised anything"


def test_two_replies_to_one_question_are_a_duplicate() -> None:
    (doubled,) = counted(reply(3, "q-1", "a"), reply(4, "q-1 q-2", "b")).doubled
    assert doubled.startswith("q-1 ")


def test_a_reply_delivered_twice_is_excused_only_while_nobody_had_told_of_the_first() -> None:
    told = counted(reply(3, "q-1", "a", told_at=13.5), reply(4, "q-1", "a", at=14.0), reply(5, "q-2", "b"))
    assert (len(told.repeated), len(told.unavoidable), told.doubled) == (1, 0, [])
    untold = counted(reply(3, "q-1", "a", told_at=14.5), reply(4, "q-1", "a", at=14.0), reply(5, "q-2", "b"))
    assert (len(untold.repeated), len(untold.unavoidable), untold.doubled) == (0, 1, [])


def test_a_later_question_answered_first_is_out_of_order_when_the_order_was_certain() -> None:
    crossed = (reply(3, "q-2", "b"), reply(4, "q-1", "a"))
    assert counted(*crossed).disordered == [("q-1", "q-2")]
    uncertain = replace(ASKED, acknowledged_at=11.5)
    assert not count([uncertain, QUESTIONS[1]], crossed).disordered
