"""The site file: written by a few answers, checked as a whole, and understood by the proxy."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from metachat.operations import site as sites
from metachat.operations.provisioning.templates import render
from metachat.operations.site import writing

METACHAT = Path(sys.executable).parent / "metachat"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl ana"


def _run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(METACHAT), *arguments], cwd=folder, capture_output=True, text=True, timeout=60,
        stdin=subprocess.DEVNULL, env={**os.environ, "METACHAT_DATA_DIR": str(folder / "data")},
    )  # fmt: skip


def _init(folder: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    (folder / "key.pub").write_text(KEY)
    return _run(
        folder, "site", "init", "--domain", "chat.acme.example", "--contact", "ops@acme.example",
        "--address", "203.0.113.7", "--operator-key", "key.pub", *more,
    )  # fmt: skip


def test_a_few_answers_make_a_site_file(tmp_path: Path) -> None:
    assert _init(tmp_path).returncode == 0
    site = sites.read(tmp_path / "site.toml")
    assert (site.name, site.domain, site.operators) == ("acme", "chat.acme.example", [KEY])
    assert _run(tmp_path, "site", "check").stdout == "Nothing is wrong.\n"
    assert json.loads(_run(tmp_path, "site", "show").stdout)["sizes"]["api_memory"] == "512M"


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text("mine")
    again = _init(tmp_path)
    assert again.returncode == 65
    assert "There is a site file here already" in again.stderr
    assert (tmp_path / "site.toml").read_text() == "mine"


def test_wrong_answers_leave_no_file(tmp_path: Path) -> None:
    wrong = _init(tmp_path, "--issuer", "nobody")
    assert wrong.returncode == 78
    assert "tls.issuer" in wrong.stderr
    assert not (tmp_path / "site.toml").exists()


def test_a_private_key_is_not_taken_for_a_public_one(tmp_path: Path) -> None:
    (tmp_path / "id").write_text("-----BEGIN OPENSSH PRIVATE " + "KEY-----\nAAAA\n")
    refused = _init(tmp_path, "--operator-key", "id")
    assert refused.returncode != 0
    assert "no public SSH key" in refused.stderr
    assert "AAAA" not in refused.stderr


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    _init(tmp_path)
    file = tmp_path / "site.toml"
    file.write_text(file.read_text().replace("contact =", "contacts =").replace('"worker"', '"wroker"'))
    told = _run(tmp_path, "site", "check")
    assert told.returncode == 78
    assert "contacts: is not known. Did you mean contact?" in told.stdout
    assert "servers[0].roles" in told.stdout


def test_the_example_has_every_key_and_is_valid(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(writing.example())
    assert sites.examine(tmp_path / "site.toml")[1] == []
    bare = writing.example().replace("# [", "[").replace("# ", "")
    properties = sites.schema()["$defs"]
    for table in ("Sizes", "Upkeep", "Backup", "Tls", "Server"):
        for key in properties[table]["properties"]:
            assert key in bare or key == "private_address", (table, key)


@pytest.mark.parametrize("issuer", ["internal", "acme"])
def test_caddy_understands_its_file(tmp_path: Path, issuer: str) -> None:
    text = writing.written(writing.Answers("chat.acme.example", "o@a.example", "203.0.113.7", issuer=issuer))
    assert tomllib.loads(text)["tls"]["issuer"] == issuer
    (tmp_path / "site.toml").write_text(text)
    figures = {"api/1": 8101, "worker/1": 8201}
    site = sites.read(tmp_path / "site.toml")
    made = render("Caddyfile", site=site, instances=["01", "02"], figures=figures)
    (tmp_path / "Caddyfile").write_bytes(made.getvalue())
    adapted = subprocess.run(
        [str(METACHAT.parent / "caddy"), "adapt", "--config", str(tmp_path / "Caddyfile")],
        capture_output=True, text=True, timeout=60, env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    assert adapted.returncode == 0, adapted.stderr
    told = adapted.stdout
    assert "127.0.0.1:8102" in told
    assert "127.0.0.1:8201" in told
    assert "/auth/operator" in told
    assert "unsafe-" not in told
