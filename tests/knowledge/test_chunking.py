"""Whatever a document says ends up in chunks: nothing lost, in order, on its page, within bounds."""

from hypothesis import given
from hypothesis import strategies as st

from metachat.domain.knowledge import Section
from metachat.domain.knowledge.chunking import CAPACITY, HEADING_LIMIT, chunk, for_embedding

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=3000)
prose = st.lists(
    st.sampled_from(["Dostava", "traje", "3-4", "Tage.", "\n", "\n\n", "really?", "- item", "😀"]),
    max_size=600,
).map(" ".join)
headings = st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=400)
sections = st.lists(
    st.builds(Section, text=texts | prose, page=st.none() | st.integers(1, 50), heading=headings), max_size=6
)


def letters(text: str) -> str:
    """A text without its white space, and without what no database column holds."""
    return "".join(text.replace("\0", "").split())


@given(sections)
def test_nothing_is_lost_and_all_stays_in_order(given_sections: list[Section]) -> None:
    chunks = chunk(given_sections)
    assert letters("".join(c.text for c in chunks)) == letters("".join(s.text for s in given_sections))
    assert [c.position for c in chunks] == list(range(len(chunks)))


@given(sections)
def test_every_chunk_is_bounded_and_says_something(given_sections: list[Section]) -> None:
    for piece in chunk(given_sections):
        assert 0 < len(piece.text) <= CAPACITY[1]
        assert "\0" not in piece.text + (piece.heading or "")
        assert len(piece.heading or "") <= HEADING_LIMIT
        assert piece.text in for_embedding(piece)


@given(sections)
def test_a_chunk_keeps_the_page_and_heading_of_its_section(given_sections: list[Section]) -> None:
    alone = [[(c.page, c.heading, c.text) for c in chunk([section])] for section in given_sections]
    together = [(c.page, c.heading, c.text) for c in chunk(given_sections)]
    assert together == [piece for pieces in alone for piece in pieces]
    assert all(
        page == s.page for s, pieces in zip(given_sections, alone, strict=True) for page, _, _ in pieces
    )


def test_long_text_is_cut_between_sentences() -> None:
    sentence = "Every parcel leaves our warehouse in Graz on the day of the order. "
    pieces = chunk([Section(sentence * 60, 1, "Shipping")])
    assert len(pieces) > 3
    assert all(piece.text.endswith(".") and len(piece.text) >= CAPACITY[0] for piece in pieces[:-1])
