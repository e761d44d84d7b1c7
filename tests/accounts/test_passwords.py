"""Passwords under pressure, and the rules that need no database."""

import asyncio

import psutil
import pytest
from tests.shortcuts import IN_FULL

from metachat.domain.accounts import BadAccountData, Busy, Role, passwords
from metachat.domain.accounts.model import normal_email, normal_slug, sound_password


@pytest.fixture(autouse=True)
def in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash as slowly as in production."""
    for name, value in IN_FULL.items():
        monkeypatch.setattr(passwords, name, value)


async def test_a_flood_of_sign_ins_takes_bounded_memory_and_is_turned_away() -> None:
    await passwords.matches(None, "warm up")
    process = psutil.Process()
    before = most = process.memory_info().rss
    tries = [asyncio.create_task(passwords.matches(None, f"guess {n}")) for n in range(200)]
    while not all(one.done() for one in tries):
        await asyncio.wait(tries, timeout=0.01)
        most = max(most, process.memory_info().rss)
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    turned_away = [one for one in outcomes if isinstance(one, Busy)]
    assert len(turned_away) == 200 - 64
    assert all(one is False for one in outcomes if not isinstance(one, Busy))
    # Two hashes at a time are 38 MiB; two hundred would be 3.7 GiB.
    assert most - before < 80 * 1024 * 1024


async def test_a_password_matches_itself_only() -> None:
    stored = await passwords.hash_password("correct horse battery")
    assert await passwords.matches(stored, "correct horse battery")
    assert not await passwords.matches(stored, "correct horse battery ")
    assert not await passwords.matches("not a hash", "correct horse battery")
    assert not await passwords.matches(None, "correct horse battery")
    assert not passwords.is_outdated(stored)
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_invented_passwords_differ_and_are_sound() -> None:
    invented = {passwords.invent() for _ in range(100)}
    assert len(invented) == 100
    assert all(sound_password(one) for one in invented)


@pytest.mark.parametrize(
    ("given", "stored"), [(" Eva@Shop.Example ", "eva@shop.example"), ("a+b@c.de", "a+b@c.de")]
)
def test_an_address_has_one_form(given: str, stored: str) -> None:
    assert normal_email(given) == stored


@pytest.mark.parametrize(
    "given", ["", "eva", "@shop.example", "eva@", "e v@a.b", "a@b@c", "a\x00@b.c", "a\n@b.c"]
)
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(BadAccountData):
        normal_email(given)


@pytest.mark.parametrize("given", ["", "-a", "A", "a_b", "a/b", "x" * 64, "ä"])
def test_what_is_no_short_name_is_refused(given: str) -> None:
    with pytest.raises(BadAccountData):
        normal_slug(given)


def test_roles_stand_in_one_order() -> None:
    order = [Role.OWNER, Role.ADMIN, Role.AGENT, Role.VIEWER]
    for place, role in enumerate(order):
        assert [role.covers(other) for other in order] == [other in order[place:] for other in order]
