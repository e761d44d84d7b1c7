"""Counts questions and answers from outside: only what phones sent and received."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from metachat.simulate import Seen


@dataclass(frozen=True)
class Count:
    """What became of the questions.

    doubled are questions that two different replies answer, repeated are replies that were delivered twice
    although the platform had been told that the first was taken. unavoidable are those delivered twice
    before anybody had told it: it died, or the line broke, between the acceptance and the news of it.
    disordered are pairs of a conversation whose later question was answered before the earlier one, though
    the earlier was acknowledged before the later was asked.
    """

    asked: int
    acknowledged: int
    answered: int
    lost: list[str]
    doubled: list[str]
    repeated: list[str]
    unavoidable: list[str]
    disordered: list[tuple[str, str]]


def count(asked: Iterable[Seen], heard: Iterable[Seen]) -> Count:
    """Count; questions are named by their first word, and replies name what they answer."""
    questions, replies = list(asked), list(heard)
    first: dict[str, Seen] = {}
    again: list[tuple[Seen, Seen]] = []
    for reply in replies:
        key = reply.callback_data or reply.id
        again += [(first[key], reply)] if key in first else []
        first.setdefault(key, reply)
    answers = {id: names_in(reply) for id, reply in first.items()}
    times = Counter(name for names in answers.values() for name in names)
    acknowledged = [one for one in questions if one.acknowledged_at is not None]
    return Count(
        asked=len(questions), acknowledged=len(acknowledged), answered=len(times),
        lost=[name_of(one) for one in acknowledged if not times[name_of(one)]],
        doubled=[_both(name, first.values()) for name, often in times.items() if often > 1],
        repeated=[one.text for one, other in again if one.told_at is not None and one.told_at < other.at],
        unavoidable=[one.text for one, other in again if one.told_at is None or one.told_at >= other.at],
        disordered=list(_disordered(questions, first.values())),
    )  # fmt: skip


def name_of(question: Seen) -> str:
    """The name by which a question is known."""
    return question.text.split()[0]


def names_in(reply: Seen) -> list[str]:
    """The questions that a reply answers."""
    return re.findall(r"\w+-\d+", reply.text)


def _both(name: str, replies: Iterable[Seen]) -> str:
    places = [f"{one.callback_data} at {one.at:.3f}" for one in replies if name in names_in(one)]
    return f"{name} in {' and '.join(places)}"


def _disordered(questions: list[Seen], replies: Iterable[Seen]) -> Iterable[tuple[str, str]]:
    place = {name: reply.number for reply in replies for name in names_in(reply)}
    by_phone: dict[str, list[Seen]] = defaultdict(list)
    for question in questions:
        if name_of(question) in place:
            by_phone[question.phone].append(question)
    for thread in by_phone.values():
        for number, later in enumerate(thread):
            for earlier in thread[:number]:
                certain = earlier.acknowledged_at is not None and earlier.acknowledged_at < later.at
                if certain and place[name_of(earlier)] > place[name_of(later)]:
                    yield name_of(earlier), name_of(later)
