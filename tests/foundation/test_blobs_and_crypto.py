"""Bytes by their content, and secrets bound to their place."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metachat.foundation import crypto
from metachat.foundation.blobs import DiskBlobs, TooLarge
from metachat.foundation.errors import Refusal, problem
from metachat.foundation.ids import TenantId, uuid7


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def test_equal_bytes_are_one_file_and_tenants_are_apart(tmp_path: Path) -> None:
    blobs = DiskBlobs(tmp_path).for_tenant(TenantId(uuid7()))
    first = await blobs.put(stream(b"hel", b"lo"), limit=10)
    second = await blobs.put(stream(b"hello"), limit=10)
    assert first == second
    assert blobs.path(first.sha256).read_bytes() == b"hello"
    other = DiskBlobs(tmp_path).for_tenant(TenantId(uuid7()))
    assert not other.path(first.sha256).exists()
    await blobs.delete(first.sha256)
    await blobs.delete(first.sha256)
    assert not blobs.path(first.sha256).exists()


async def test_too_large_a_stream_leaves_nothing_behind(tmp_path: Path) -> None:
    blobs = DiskBlobs(tmp_path)
    with pytest.raises(TooLarge):
        await blobs.put(stream(b"x" * 6, b"x" * 6), limit=10)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@given(st.binary(max_size=200), st.binary(max_size=20), st.binary(max_size=20))
def test_a_sealed_value_opens_only_at_its_place(plaintext: bytes, place: bytes, other: bytes) -> None:
    key = b"k" * 32
    sealed = crypto.seal(key, plaintext, place)
    assert crypto.unseal(key, sealed, place) == plaintext
    if other != place:
        with pytest.raises(crypto.SealBroken):
            crypto.unseal(key, sealed, other)
    with pytest.raises(crypto.SealBroken):
        crypto.unseal(b"j" * 32, sealed, place)


def test_a_token_is_stored_only_as_a_hash_under_the_pepper() -> None:
    token = crypto.new_token("mc_")
    assert crypto.token_hash(token, b"one") != crypto.token_hash(token, b"two")
    assert token not in crypto.token_hash(token, b"one")


def test_a_refusal_becomes_a_problem_document() -> None:
    class Busy(Refusal):
        """It is busy."""

        code = "busy"

    assert problem(Busy("come back", until=5), "/x") == {
        "type": "urn:metachat:problem:busy",
        "title": "It is busy.",
        "status": 422,
        "code": "busy",
        "detail": "come back",
        "instance": "/x",
        "until": 5,
    }
