"""Renders the shop's pages."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from metachat.web.demo import articles
from metachat.web.demo.articles import Article, Block
from metachat.web.demo.texts import LANGUAGES, TEXTS

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def shop(language: str, channel: str | None) -> str:
    """Render the shop's front page; channel None leaves the chat out."""
    return _TEMPLATES.get_template("shop.html").render(
        t=TEXTS[language],
        language=language,
        languages=LANGUAGES,
        channel=channel,
        articles=articles.in_language(language),
    )


def article(shown: Article, channel: str | None) -> str:
    """Render one document of the help centre."""
    return _TEMPLATES.get_template("article.html").render(
        t=TEXTS[shown.language],
        language=shown.language,
        languages=LANGUAGES,
        channel=channel,
        article=shown,
        groups=_grouped(shown.blocks),
    )


def _grouped(blocks: tuple[Block, ...]) -> list[list[Block]]:
    """Put neighbours of one kind together: list items make a list, rows a table."""
    groups: list[list[Block]] = []
    for block in blocks:
        if groups and groups[-1][0].kind == block.kind and block.kind in ("li", "row"):
            groups[-1].append(block)
        else:
            groups.append([block])
    return groups
