"""What a rebuilt site is told by: the site file that lies in the backup, and the page in the safe."""

from pathlib import Path

import msgspec
import pytest
from tests.backups.conftest import House

from metachat.foundation.settings import Secret
from metachat.operations import age, site
from metachat.operations.backups import opening, rebuilding, site_file, taking
from metachat.operations.backups.contract import NoBackup
from metachat.operations.backups.opening import Access
from metachat.operations.backups.targets.s3 import S3Target
from metachat.operations.provisioning.arriving import Door
from metachat.operations.site.writing import example

PAGE = Path(__file__).parents[2] / "docs" / "disaster-recovery.md"


@pytest.fixture
def told(tmp_path: Path) -> site.Site:
    """A site with everything that a file can say."""
    file = tmp_path / "site.toml"
    text = example().replace("# [plans.basic]", "[plans.basic]").replace("# price", "price")
    file.write_text(text.replace("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI... ana@laptop", KEY))
    found = site.read(file)
    backup = msgspec.structs.replace(
        found.backup, target="s3:bucket/shop", endpoint="https://s3.example.com", region="eu-central-1",
        ca="-----BEGIN CERTIFICATE-----\n\"ž\"\n-----END CERTIFICATE-----\n", recipients=["age1reader"],
    )  # fmt: skip
    return msgspec.structs.replace(found, backup=backup)


KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKq0Z0l8cS2N3kW0b8m1nZk1v4b1r4vJX2kQz0m5yq1T ana@laptop"


def test_a_site_file_is_the_same_after_being_backed_up(told: site.Site) -> None:
    written = site_file.written(told)
    assert site_file.parsed(written.encode()) == told
    assert site_file.written(site_file.parsed(written.encode())) == written


def test_only_the_address_of_the_lost_server_changes(told: site.Site) -> None:
    name = told.servers[0].name
    moved = site_file.moved(told, name, "203.0.113.99")
    assert moved.servers[0].address == "203.0.113.99"
    assert site_file.moved(moved, name, told.servers[0].address) == told


def test_the_address_of_the_store_is_one_that_opens(told: site.Site, tmp_path: Path) -> None:
    authority = tmp_path / "authority.pem"
    address = site_file.address(told.backup, str(authority))
    assert address == (f"s3:bucket/shop?endpoint=https://s3.example.com&region=eu-central-1&ca={authority}")
    plain = site_file.address(msgspec.structs.replace(told.backup, ca=""))
    found = opening.open_target(plain, Access(Secret("k"), Secret("s")))
    assert isinstance(found, S3Target)
    assert (
        site_file.address(msgspec.structs.replace(told.backup, endpoint="", region="", ca=""))
        == "s3:bucket/shop"
    )


def test_the_page_for_the_safe_names_what_this_site_needs(told: site.Site) -> None:
    page = rebuilding.runbook(told)
    assert site_file.address(told.backup) in page
    assert "age1reader" in page
    assert [step.name for step in rebuilding.STEPS if f"**{step.name}**" not in page] == []


def test_the_manual_says_what_the_code_does() -> None:
    assert rebuilding.runbook(None) in PAGE.read_text(), "metachat backup export-runbook"


def test_the_backup_of_no_server_is_told_apart(house: House, tmp_path: Path) -> None:
    made = taking.now(house.installation)
    asked = rebuilding.Asked(
        house.installation.target, house.recovery, "203.0.113.1", "",
        Door(tmp_path / "key", tmp_path / "known"), tmp_path / "rebuilt", tmp_path / "data",
    )  # fmt: skip
    with pytest.raises(NoBackup, match="metachat up"):
        rebuilding.rebuild(asked, lambda line: None, lambda server, told: None)
    assert not (tmp_path / "rebuilt").exists()
    assert made.recipients[1] == age.public(house.recovery)
