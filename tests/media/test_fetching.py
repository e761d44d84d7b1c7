"""What customers send is fetched, checked and kept, or refused with a reason; nothing else happens to it."""

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pytest
from tests.media.conftest import ANA, JPEG, OGG, PDF, PNG, Shop

from metachat.wiring import Platform


async def sends(shop: Shop, type: str, content: bytes, media_type: str, **more: Any) -> dict[str, Any]:
    """A customer sends a file; gives what became of it."""

    def send() -> None:
        media = shop.meta.attach(content, media_type)
        shop.meta.says(ANA, type=type, media=media, **more)

    await asyncio.to_thread(send)
    (row,) = await shop.until("SELECT * FROM attachments WHERE state <> 'pending' ORDER BY created_at")
    return row


def stored(shop: Shop) -> dict[str, bytes]:
    """What lies in the tenant's storage, by name."""
    root = shop.settings.data_dir / "media" / str(shop.tenant)
    return {path.name: path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("type", "content", "media_type"),
    [("image", JPEG, "image/jpeg"), ("image", PNG, "image/png"), ("document", PDF, "application/pdf"),
     ("audio", OGG, "audio/ogg; codecs=opus")],
)  # fmt: skip
async def test_a_file_is_kept_under_its_content(
    shop: Shop, type: str, content: bytes, media_type: str
) -> None:
    async with shop.worker():
        row = await sends(shop, type, content, media_type)
    assert (row["state"], row["reason"], row["form"]) == ("stored", "", type)
    assert row["media_type"] == media_type.partition(";")[0]
    name = hashlib.sha256(content).hexdigest()
    assert (row["sha256"], row["size"]) == (name, len(content))
    assert stored(shop) == {name: content}


@pytest.mark.parametrize(
    ("type", "content", "media_type", "reason"),
    [
        ("image", b"<html><script>alert(1)</script>", "image/png", "said to be image/png, and is not"),
        ("image", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml", "is no image"),
        ("document", b"MZ\x90\x00" + bytes(500), "application/pdf", "is a program"),
        ("document", b"\x7fELF" + bytes(500), "application/octet-stream", "is a program"),
        ("video", OGG, "video/mp4", "said to be video/mp4, and is not"),
        ("sticker", b"RIFF\x00\x00\x00\x00WEBP" + bytes(600 * 1024), "image/webp", "larger than allowed"),
        ("image", JPEG + bytes(5 * 1024 * 1024), "image/jpeg", "larger than allowed"),
    ],
)
async def test_what_is_not_what_it_is_said_to_be_is_refused(
    shop: Shop, type: str, content: bytes, media_type: str, reason: str
) -> None:
    async with shop.worker():
        row = await sends(shop, type, content, media_type)
    assert row["state"] == "refused"
    assert reason in row["reason"]
    assert row["sha256"] is None


async def test_a_provider_that_is_away_is_asked_again(shop: Shop) -> None:
    await asyncio.to_thread(shop.meta.fails, "status", code=503, where="media", times=2)
    async with shop.worker(first_pause=0.05):
        row = await sends(shop, "image", JPEG, "image/jpeg")
    assert row["state"] == "stored"


async def test_what_the_provider_no_longer_has_is_gone(shop: Shop) -> None:
    picture = {"id": "999", "caption": "my tent"}
    await asyncio.to_thread(shop.meta.says, ANA, type="raw", raw_type="image", body=picture)
    async with shop.worker():
        (row,) = await shop.until("SELECT * FROM attachments WHERE state <> 'pending'")
    assert row["state"] == "gone"
    assert row["reason"]


async def test_the_operator_may_allow_less(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Platform, "media_cap", 1000)
    async with shop.worker():
        row = await sends(shop, "document", PDF, "application/pdf")
    assert row["state"] == "refused"
    assert not any(path.is_file() for path in Path(shop.settings.data_dir / "media").rglob("*"))


async def test_what_a_customer_deletes_is_gone(shop: Shop) -> None:
    async with shop.worker():
        await sends(shop, "image", JPEG, "image/jpeg", caption="me")
        (message,) = await shop.rows("SELECT provider_id FROM messages WHERE author = 'customer'")
        await asyncio.to_thread(shop.meta.says, ANA, type="delete", message=message["provider_id"])
        (row,) = await shop.until("SELECT * FROM attachments WHERE state = 'gone'")
    assert (row["sha256"], row["reason"]) == (None, "deleted by the customer")
