"""Random keys are never refused, whatever they are written in; keys made by hand are."""

import secrets
import uuid
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metachat.foundation.settings.strength import is_guessable, is_placeholder

RANDOM: dict[str, Callable[[], str]] = {
    "url-safe": lambda: secrets.token_urlsafe(32),
    "hexadecimal": lambda: secrets.token_hex(32),
    "short hexadecimal": lambda: secrets.token_hex(16),
    "uuid": lambda: str(uuid.uuid4()),
}


@pytest.mark.parametrize("form", RANDOM)
def test_random_keys_pass(form: str) -> None:
    keys = [RANDOM[form]() for _ in range(2000)]
    assert [key for key in keys if is_guessable(key) or is_placeholder(key)] == []


@given(st.text(min_size=1, max_size=12), st.integers(3, 8))
def test_what_repeats_itself_is_guessable(piece: str, times: int) -> None:
    assert is_guessable(piece * times)
    assert is_guessable(piece * times + piece[: len(piece) // 2])


@given(
    st.sampled_from(
        ["change-me", "changeme", "your-", "xxx-", "example", "<", "${", "placeholder", "replace_me"]
    ),
    st.text("abcdef0123456789", max_size=40),
    st.sampled_from([str.lower, str.upper, str.title]),
)
def test_a_placeholder_stays_one_in_any_case_and_length(
    beginning: str, rest: str, case: Callable[[str], str]
) -> None:
    closed = rest + (">" if beginning == "<" else "")
    assert is_placeholder(case(beginning) + closed)
