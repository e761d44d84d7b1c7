"""An answer that travels as text names what it rests on."""

from typing import Any

from metachat.domain.conversations.deliveries.sources import with_sources

RETURNS: dict[str, Any] = {"document": "returns.pdf", "page": 2, "quote": "30 days"}
SHIPPING: dict[str, Any] = {"document": "shipping.md", "page": None, "quote": "DHL"}


def test_each_mark_is_explained_once_with_its_page() -> None:
    said = with_sources("30 days [1]. By DHL [2], within 30 days [1].", [RETURNS, SHIPPING], "en")
    assert said.endswith("\n\n[1] returns.pdf, p. 2\n[2] shipping.md")


def test_the_page_is_told_in_the_language_of_the_conversation() -> None:
    assert with_sources("30 Tage [1].", [RETURNS], "de").endswith("[1] returns.pdf, S. 2")
    assert with_sources("30 dana [1].", [RETURNS], "hr").endswith("[1] returns.pdf, str. 2")


def test_what_cites_nothing_stays_as_it_is() -> None:
    assert with_sources("Good morning.", [], None) == "Good morning."
    assert with_sources("Row [7] of the list", [RETURNS], None) == "Row [7] of the list"
