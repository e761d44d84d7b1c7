"""What the manual of hardening says one sees is what one sees."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.servers.guests import Guest
from tests.servers.sites import DOMAIN, Live

PAGES = Path(__file__).parents[2] / "docs" / "hardening"
NAMED_THERE = "chat.example.com"


def shown(page: Path) -> Iterator[tuple[str, str, list[str]]]:
    """The commands of a page: where each is typed, what it is, and what its answer contains."""
    for block in re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL):
        for typed in re.split(r"^(?=(?:chat)?\$ )", block, flags=re.MULTILINE)[1:]:
            first, *told = typed.replace(NAMED_THERE, DOMAIN).splitlines()
            where, _, command = first.partition("$ ")
            yield where, command, told


def pages() -> list[Path]:
    """Every page but the list of them."""
    return sorted(page for page in PAGES.glob("*.md") if page.name != "README.md")


@pytest.fixture(scope="module")
def visitor(live: Live, elsewhere: Guest) -> Guest:
    """A machine elsewhere that trusts the site's own authority, as browsers trust those of the world."""
    elsewhere.ssh("apt-get update -qq && apt-get install -y -qq --no-install-recommends curl", seconds=300)
    trusted = "/usr/local/share/ca-certificates/site.crt"
    elsewhere.ssh(f"cat > {trusted} && update-ca-certificates", stdin=live.authority.read_text())
    return elsewhere


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
def test_what_is_shown_is_what_is_seen(live: Live, visitor: Guest, page: Path) -> None:
    commands = list(shown(page))
    assert commands
    for where, command, told in commands:
        if where == "chat":
            ran = live.guest.ssh(command, user="operator", check=False)
        else:
            ran = visitor.ssh(command, check=False)
        missing = [line for line in told if line not in ran.stdout]
        assert told, command
        assert missing == [], f"{where}$ {command}\n{ran.stdout}{ran.stderr}"


def test_every_page_is_listed() -> None:
    listed = set(re.findall(r"\]\(([a-z]+\.md)\)", (PAGES / "README.md").read_text()))
    assert listed == {page.name for page in pages()}
