"""The command line of channels, beside a running platform and a simulated Meta."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests import commands
from tests.web.process import Process

from metachat import simulate
from metachat.foundation.ids import TenantId
from metachat.simulate import Meta

PHONE = "385911234567"


@dataclass
class Desk:
    """A terminal beside the platform."""

    process: Process
    meta: Meta
    folder: Path

    def run(self, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command."""
        return commands.run(*arguments, env=self.process.environment, given=typed, timeout=120)

    def json(self, *arguments: str, code: int = 0, typed: str = "") -> Any:
        """Run a command for its JSON."""
        told = self.run(*arguments, "--tenant", "acme", "--json", typed=typed)
        assert told.returncode == code, told.stdout + told.stderr
        return json.loads(told.stdout)

    def keeps(self, name: str, secret: str) -> str:
        """Put a secret into a file."""
        path = self.folder / name
        path.write_text(secret + "\n")
        return str(path)

    def adds(self, token: str | None = None) -> dict[str, Any]:
        """Open a WhatsApp channel for the simulated business."""
        account = self.meta.account
        return self.json(
            "channels", "add", "whatsapp", "--name", "Line", "--phone-number-id", account.phone_number_id,
            "--business-account-id", account.waba_id,
            "--app-secret-file", self.keeps("app", account.app_secret),
            "--access-token-file", self.keeps("token", token or account.access_token),
        )  # fmt: skip


@pytest.fixture
def desk(as_environment: dict[str, str], tenant: TenantId, tmp_path: Path) -> Iterator[Desk]:
    """The platform: an api process and a worker, and Meta."""
    with simulate.thread() as meta:
        process = Process({**as_environment, "METACHAT_GRAPH_URL": meta.address})
        worker = subprocess.Popen(
            [sys.executable, "-m", "metachat", "worker"], env=process.environment, stderr=subprocess.DEVNULL
        )
        assert process.is_ready() == 200
        yield Desk(process, meta, tmp_path)
        for child in (worker, process.child):
            child.terminate()
            child.wait(30)
        if process.child.stderr:
            process.child.stderr.close()


def failed(results: list[dict[str, Any]]) -> dict[str, str]:
    """The checks of the only channel that did not pass, with what to do."""
    [result] = results
    return {one["check"]: one["fix"] for one in result["checks"] if not one["passed"]}


def test_a_channel_is_opened_mended_by_the_doctor_and_tested(desk: Desk) -> None:
    made = desk.adds()
    id, account = made["channel"]["id"], desk.meta.account
    listed = desk.run("channels", "list", "--tenant", "acme")
    assert "Line" in listed.stdout
    shown = desk.run("channels", "show", "Line", "--tenant", "acme")
    for secret in (account.app_secret, account.access_token, made["verify_token"]):
        assert secret not in listed.stdout + shown.stdout

    # Meta delivers nowhere yet; the doctor says so, and has it deliver here.
    before = failed(desk.json("channels", "doctor", "Line", code=1))
    assert {"Meta delivers to this channel", "webhooks arrive", "a template re-opens conversations"} == set(
        before
    )
    assert "--subscribe" in before["Meta delivers to this channel"]
    after = failed(desk.json("channels", "doctor", id, "--subscribe", code=1))
    assert set(after) == {"webhooks arrive", "a template re-opens conversations"}

    sent = desk.json("channels", "test", "Line", f"+{PHONE}")
    assert (sent["accepted"], sent["status"]) == (True, "delivered")
    assert [seen.phone for seen in desk.meta.arrivals()] == [PHONE]
    # Its statuses came as webhooks.
    assert set(failed(desk.json("channels", "doctor", "Line", code=1))) == {
        "a template re-opens conversations"
    }


def test_the_doctor_finds_what_is_wrong_and_says_where_to_click(desk: Desk) -> None:
    desk.adds(token="EAA" + "x" * 40)
    found = failed(desk.json("channels", "doctor", "Line", code=1))
    assert "System users" in found["access token is valid"]
    told = desk.run("channels", "rotate-secret", "Line", "access-token", "--file", "-", "--tenant", "acme",
                    typed=desk.meta.account.access_token)  # fmt: skip
    assert told.returncode == 0, told.stderr
    assert desk.meta.account.access_token not in told.stdout
    desk.meta.change(scopes=["whatsapp_business_messaging"], quality_rating="RED")
    found = failed(desk.json("channels", "doctor", "Line", code=1))
    assert {"access token has its scopes", "number is known", "Meta delivers to this channel"} <= set(found)
    plain = desk.run("channels", "doctor", "--tenant", "acme")
    assert plain.returncode == 1
    assert "FOUND  access token has its scopes: missing: whatsapp_business_management" in plain.stdout

    desk.meta.change(scopes=["whatsapp_business_messaging", "whatsapp_business_management"])
    desk.meta.fails("error", code=131030)
    told = desk.run("channels", "test", "Line", f"+{PHONE}", "--tenant", "acme")
    assert told.returncode == 1
    assert "may only write to people on its list" in told.stdout


def test_channels_are_paused_and_jobs_looked_at(desk: Desk) -> None:
    desk.adds()
    assert desk.json("channels", "pause", "Line")["status"] == "paused"
    assert "paused" in desk.run("channels", "list", "--tenant", "acme").stdout
    assert desk.json("channels", "resume", "Line")["status"] == "active"
    nobody = desk.run("channels", "pause", "Other", "--tenant", "acme")
    assert (nobody.returncode, "no such channel" in nobody.stderr) == (66, True)

    told = desk.run("channels", "add", "webchat", "--tenant", "acme", "--origin", "https://shop.example")
    assert told.returncode == 0, told.stderr
    assert f'<script src="{desk.process.address}/widget.js"' in told.stdout

    # Secrets are never arguments, and nobody is asked in a script.
    told = desk.run(
        "channels",
        "add",
        "whatsapp",
        "--name",
        "x",
        "--phone-number-id",
        "12345",
        "--business-account-id",
        "12345",
    )
    assert (told.returncode, "standard input" in told.stderr) == (65, True)
    usage = desk.run("channels", "add", "whatsapp", "--help").stdout
    assert "--app-secret " not in usage
    assert "--access-token " not in usage

    assert desk.run("jobs", "dead").stdout.strip() == "None."
    listed = desk.run("jobs", "list")
    assert (listed.returncode, "channel-health" in listed.stdout) == (0, True)
    unknown = desk.run("jobs", "replay", "99")
    assert (unknown.returncode, "no such job" in unknown.stderr) == (66, True)
    assert desk.run("jobs", "replay").returncode == 65
    assert json.loads(desk.run("jobs", "replay", "--all", "--json").stdout) == {"jobs": 0}
