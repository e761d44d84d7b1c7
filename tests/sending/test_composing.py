"""What a message of ours looks like in the words of the Cloud API."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from metachat.domain.channels import Enclosure, Outgoing
from metachat.domain.channels.whatsapp.composing import body_of, filled, parts_of, split
from metachat.foundation.ids import MessageId, uuid7

PICTURE = Enclosure("ab" * 32, "image/jpeg", "tent.jpg", 20_000)


def outgoing(text: str = "Hello", **more: Any) -> Outgoing:
    return Outgoing(message=MessageId(uuid7()), to="385911234567", text=text, reference="r", **more)


def units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


@given(st.text(alphabet=st.sampled_from("a b.\n,😀é"), max_size=600), st.integers(20, 60))
def test_a_cut_text_loses_nothing_but_white_space(text: str, limit: int) -> None:
    pieces = split(text, limit)
    assert all(units(piece) <= limit for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(text.split())


def test_a_text_is_cut_where_it_reads_best() -> None:
    assert split("One sentence here. Another one there.", 25) == ["One sentence here.", "Another one there."]
    assert split("x" * 50, 20) == ["x" * 20, "x" * 20, "x" * 10]
    assert split("Short", 20) == ["Short"]


def test_a_long_text_goes_in_parts_and_only_the_first_answers_a_message() -> None:
    parts = parts_of(outgoing("word " * 1_500, reply_to="wamid.1"))
    assert len(parts) == 2
    assert [part.reply_to for part in parts] == ["wamid.1", None]
    assert all(len(part.text) <= 4_096 for part in parts)


def test_a_caption_goes_with_its_picture_and_a_long_one_behind_it() -> None:
    (alone,) = parts_of(outgoing("Our tent", enclosure=PICTURE))
    assert body_of(alone, "77")["image"] == {"id": "77", "caption": "Our tent"}
    first, then = parts_of(outgoing("long " * 300, enclosure=PICTURE))
    assert body_of(first, "77")["image"] == {"id": "77"}
    assert body_of(then, None)["type"] == "text"


def test_a_recording_has_no_caption_and_what_is_no_picture_is_a_document() -> None:
    voice = Enclosure("cd" * 32, "audio/ogg; codecs=opus", "", 3_000)
    first, then = parts_of(outgoing("Listen", enclosure=voice))
    assert (body_of(first, "1")["type"], body_of(then, None)["text"]["body"]) == ("audio", "Listen")
    sheet = Enclosure("ef" * 32, "application/pdf", "sizes.pdf", 9)
    assert body_of(outgoing("", enclosure=sheet), "2")["document"] == {"id": "2", "filename": "sizes.pdf"}


def test_few_short_choices_are_buttons_more_are_a_list_and_others_are_text() -> None:
    def shape(*choices: str) -> tuple[str, str]:
        (part,) = parts_of(outgoing("Which?", choices=choices))
        body = body_of(part, None)
        return body["type"], body.get("interactive", {}).get("type", "")

    assert shape("Yes", "No") == ("interactive", "button")
    assert shape("1", "2", "3", "4") == ("interactive", "list")
    assert shape(*map(str, range(11))) == ("text", "")
    assert shape("A choice that is far too long for a row") == ("text", "")
    assert shape("Same", "Same") == ("text", "")


def test_choices_that_are_text_are_numbered() -> None:
    (part,) = parts_of(outgoing("Which?", choices=tuple(map(str, range(11)))))
    assert body_of(part, None)["text"]["body"].startswith("Which?\n1. 0\n2. 1")


def test_who_has_no_number_is_named_by_their_id_here() -> None:
    assert body_of(outgoing(), None)["to"] == "385911234567"
    hidden = Outgoing(message=MessageId(uuid7()), to="AT.1234", text="Hello", reference="r")
    body = body_of(hidden, None)
    assert (body.get("to"), body["recipient"]) == (None, "AT.1234")
    both = Outgoing(message=MessageId(uuid7()), to="AT.1234", phone="+385911", text="Hello", reference="r")
    assert body_of(both, None)["to"] == "385911"


def test_a_template_takes_the_text_as_one_line() -> None:
    template = {"name": "again", "components": [{"parameters": [{"type": "text", "text": "{text}"}]}]}
    long = filled(template, "One\n\n  two\t" + "x" * 2_000)
    said = long["components"][0]["parameters"][0]["text"]
    assert said.startswith("One two xxx")
    assert (len(said) <= 1_024, said[-1], template["name"]) == (True, "…", "again")
