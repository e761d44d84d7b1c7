"""The demo shop's page and its help centre, in each language."""

import pytest

from metachat.web.demo import articles, pages
from metachat.web.demo.texts import LANGUAGES, TEXTS


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_shop_links_every_document_and_holds_the_chat(language: str) -> None:
    page = pages.shop(language, "the-channel")
    assert f'<html lang="{language}">' in page
    assert 'data-channel="the-channel"' in page
    for article in articles.in_language(language):
        assert f"/demo/help/{language}/{article.name}" in page


def test_without_a_channel_the_shop_offers_no_chat() -> None:
    page = pages.shop("en", None)
    assert "widget.js" not in page
    assert "data-metachat-ask" not in page


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_document_reads_as_a_page(language: str) -> None:
    for article in articles.in_language(language):
        if not article.is_file:
            page = pages.article(article, "the-channel")
            assert f"<h1>{article.title.replace('&', '&amp;')}</h1>" in page
            assert page.count("<p>") + page.count("<li>") + page.count("<td>") >= 5


@pytest.mark.parametrize("name", ["../seed.py", "nothing.md", "../../wiring.py", ""])
def test_only_the_help_centre_s_own_documents_are_shown(name: str) -> None:
    assert articles.find("en", name) is None
    assert articles.find("..", "seed.py") is None


def test_every_language_has_the_same_words() -> None:
    assert {frozenset(words) for words in TEXTS.values()} == {frozenset(TEXTS["en"])}
