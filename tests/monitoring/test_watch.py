"""The watch from outside: what it tells people, what it writes down, and what it does not claim."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from typing_extensions import override

from metachat.domain import channels
from metachat.foundation.db import Database
from metachat.foundation.scope import open_scope
from metachat.foundation.settings import Secret
from metachat.operations.monitoring.receivers.slack import Slack
from metachat.operations.monitoring.silences import Silence
from metachat.operations.watching import probes
from metachat.operations.watching.ledger import Ledger, broken, entries
from metachat.operations.watching.model import Judge, Result, jumped
from metachat.operations.watching.uptime import days, uptime
from metachat.operations.watching.watch import Plan, Watch
from tests import commands
from tests.conftest import add_tenant
from tests.monitoring.far_end import FarEnd, far_end
from tests.monitoring.site import free_port
from tests.monitoring.tls import certificate, serving_tls
from tests.web.process import Process


class Facade:
    """A site of which only the health shows; one can make it ill."""

    status = 200
    address = ""


@pytest.fixture
def facade() -> Iterator[Facade]:
    shown = Facade()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(shown.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        @override
        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    shown.address = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield shown
    server.shutdown()
    server.server_close()


@pytest.fixture
def slack() -> Iterator[FarEnd]:
    with far_end() as end:
        yield end


class Watched:
    """A watch whose rounds are done by hand, and what it said."""

    def __init__(self, facade: Facade, slack: FarEnd, path: Path, **more: Any) -> None:
        self.said: list[str] = []
        self.silenced: list[Silence] = []
        receiver = Slack("slack", Secret(f"{slack.address}/services/T/B/hush"))
        self.watch = Watch(
            Plan(facade.address, every=1), Ledger(path), lambda: [receiver], lambda: self.silenced,
            say=self.said.append, **more,
        )  # fmt: skip
        self.watch._take_up()

    def rounds(self, count: int) -> None:
        for _ in range(count):
            self.watch.round()


def titles(slack: FarEnd) -> list[str]:
    return [one.body["text"].partition(" ")[0] for one in slack.received]


def test_people_hear_once_of_an_outage_and_once_of_its_end(
    facade: Facade, slack: FarEnd, tmp_path: Path
) -> None:
    watched = Watched(facade, slack, tmp_path / "watch.jsonl")
    watched.rounds(3)
    facade.status = 503
    watched.rounds(1)
    facade.status = 200
    watched.rounds(1)
    assert titles(slack) == [], "one failure is a hiccup"
    facade.status = 503
    watched.rounds(5)
    assert titles(slack) == ["[PAGE]"]
    assert "SiteDown.md" in slack.received[0].text
    assert "503" in slack.received[0].text, "with its evidence"
    facade.status = 200
    watched.rounds(5)
    assert titles(slack) == ["[PAGE]", "[RESOLVED]"]
    assert broken(tmp_path / "watch.jsonl") is None


def test_a_watch_that_begins_anew_tells_the_end_of_what_another_told(
    facade: Facade, slack: FarEnd, tmp_path: Path
) -> None:
    facade.status = 503
    Watched(facade, slack, tmp_path / "watch.jsonl").rounds(2)
    again = Watched(facade, slack, tmp_path / "watch.jsonl")
    again.rounds(3)
    assert titles(slack) == ["[PAGE]"], "it was told already"
    facade.status = 200
    again.rounds(2)
    assert titles(slack) == ["[PAGE]", "[RESOLVED]"]


def test_a_receiver_that_is_away_hears_later(facade: Facade, slack: FarEnd, tmp_path: Path) -> None:
    watched = Watched(facade, slack, tmp_path / "watch.jsonl")
    facade.status = 503
    slack.answers = [(429, "slow down", {"Retry-After": "60"})]
    watched.rounds(2)
    assert any("slack did not take SiteDown: 429 slow down" in line for line in watched.said)
    watched.rounds(1)
    assert len(slack.received) == 2
    told = [one for one in entries(tmp_path / "watch.jsonl") if "told" in one]
    assert [one["delivered"] for one in told] == [False, True]


def test_what_is_silenced_is_written_down_and_not_told(facade: Facade, slack: FarEnd, tmp_path: Path) -> None:
    watched = Watched(facade, slack, tmp_path / "watch.jsonl")
    watched.silenced = [Silence("SiteDown", time.time() + 60, "ana", "moving house")]
    facade.status = 503
    watched.rounds(4)
    facade.status = 200
    watched.rounds(4)
    assert slack.received == [], "nor is its end"
    assert [one["state"] for one in entries(tmp_path / "watch.jsonl") if "alert" in one] == ["silenced"]


def test_what_outlives_its_silence_is_told(facade: Facade, slack: FarEnd, tmp_path: Path) -> None:
    watched = Watched(facade, slack, tmp_path / "watch.jsonl")
    watched.silenced = [Silence("SiteDown", time.time() + 60, "ana", "moving house")]
    facade.status = 503
    watched.rounds(3)
    watched.silenced = []
    watched.rounds(3)
    facade.status = 200
    watched.rounds(3)
    assert titles(slack) == ["[PAGE]", "[RESOLVED]"]


def test_a_dead_alert_pipeline_is_noticed(facade: Facade, slack: FarEnd, tmp_path: Path) -> None:
    last = time.monotonic()
    watched = Watched(facade, slack, tmp_path / "watch.jsonl", last_beat=lambda: last)
    watched.rounds(3)
    assert slack.received == []
    last -= 301
    watched.rounds(2)
    assert "Prometheus or Alertmanager is dead" in slack.received[0].text
    assert "Watchdog.md" in slack.received[0].text


def test_a_ledger_that_cannot_be_written_costs_no_watching(
    facade: Facade, slack: FarEnd, tmp_path: Path
) -> None:
    path = tmp_path / "folder"
    path.mkdir()  # a folder stands where the file should be
    watched = Watched(facade, slack, path)
    facade.status = 503
    watched.rounds(3)
    assert titles(slack) == ["[PAGE]"]
    assert len([line for line in watched.said if "the ledger cannot be written" in line]) == 1
    path.rmdir()
    watched.rounds(1)
    assert len([one for one in entries(path) if "found" in one]) == 4, "what was held back is there"
    assert broken(path) is None


def test_a_full_disk_costs_the_ledger_nothing_that_is_not_made_up_for(
    facade: Facade, slack: FarEnd, tmp_path: Path
) -> None:
    small = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(tmp_path)]
    if subprocess.run(small, capture_output=True).returncode:
        pytest.skip("no right to mount a small file system to fill")
    try:
        path, fat = tmp_path / "watch.jsonl", tmp_path / "fat"
        watched = Watched(facade, slack, path)
        watched.rounds(2)
        fat.write_bytes(bytes(4096 * 3))
        watched.rounds(40)
        assert len([line for line in watched.said if "No space left" in line]) == 1
        fat.unlink()
        watched.rounds(1)
        assert len([one for one in entries(path) if "found" in one]) == 43
        assert broken(path) is None
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_ledger_tells_when_it_was_changed(facade: Facade, slack: FarEnd, tmp_path: Path) -> None:
    path = tmp_path / "watch.jsonl"
    Watched(facade, slack, path).rounds(4)
    assert broken(path) is None
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], lines[1].replace("true", "false"), *lines[2:]]))
    assert broken(path) == "line 3 does not follow from the line before it"
    path.write_text("".join([*lines, '{"torn']))
    Watched(facade, slack, path).rounds(1)
    assert broken(path) is None, "a crash within a line is no forgery"


def test_a_ledger_that_grows_too_large_loses_its_oldest_part_and_says_so(
    facade: Facade, slack: FarEnd, tmp_path: Path
) -> None:
    path = tmp_path / "watch.jsonl"
    watched = Watched(facade, slack, path)
    began = time.time()
    watched.rounds(20)
    watched.watch.ledger.most = path.stat().st_size
    watched.rounds(1)
    kept = list(entries(path))
    assert 14 <= len(kept) - 1 <= 16
    assert kept[0]["trimmed"] == kept[1]["at"] > began
    assert broken(path) is None, "its chain goes on from what was taken off"
    assert path.stat().st_mode & 0o777 == 0o600
    told = run("uptime", data=tmp_path).stdout
    assert "older measurements were taken off" in told
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], *lines[2:]]))
    assert broken(path) == "line 2 does not follow from the line before it", "nothing else may be missing"


def test_a_clock_that_is_set_is_written_down(
    facade: Facade, slack: FarEnd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(facade, slack, tmp_path / "watch.jsonl")
    watched.rounds(1)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 7200)
    watched.rounds(1)
    assert [one["clock"] for one in entries(tmp_path / "watch.jsonl") if "clock" in one] == [7200]
    assert slack.received == []
    assert jumped(30, 30.2) is None


def test_two_in_a_row_turn_it_over() -> None:
    judge, sick, well = Judge(), Result("health", False, 0, ""), Result("health", True, 0, "")
    assert [judge.hear(one) for one in (sick, well, sick, sick, sick, well, sick, well, well)] == [
        False, False, False, True, False, False, False, False, True,
    ]  # fmt: skip


def a_round(at: float, *, ok: bool, said: str = "503") -> dict[str, Any]:
    return {"at": at, "every": 30.0, "found": {"health": {"ok": ok, "said": said}}}


def test_time_without_measurements_is_no_uptime() -> None:
    watched = [a_round(1000 + 30 * number, ok=number not in (4, 5)) for number in range(10)]
    later = [a_round(5000, ok=True)]
    found = uptime([*watched, *later], since=0, until=6000)
    assert found.watched == 9 * 30 + 60 + 60
    assert found.up == found.watched - 60
    assert found.unwatched == 6000 - found.watched
    assert [(one.began, one.ended, one.said) for one in found.outages] == [(1120, 1180, "503")]
    assert uptime([], since=0, until=6000).ratio is None
    backwards = [a_round(1000, ok=True), a_round(400, ok=True)]
    assert uptime(backwards, since=0, until=500).watched == 60


def test_days_are_drawn_hour_by_hour() -> None:
    hour = 3600
    looked = [a_round(moment, ok=not 7200 <= moment < 7300) for moment in range(hour, 3 * hour, 30)]
    first, second = days(looked, since=0, until=25 * hour)
    assert (first.name, first.hours) == ("1970-01-01", f".#x{'.' * 21}")
    assert (second.name, second.hours) == ("1970-01-02", "." * 24)


def run(*arguments: str, data: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("METACHAT_")}
    return commands.run(*arguments, "--data", str(data), env=environment)


@contextmanager
def watching(data: Path, slack: FarEnd, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    (data / "alerts.toml").write_text('[[alerts]]\nname = "slack"\nkind = "slack"\n')
    secrets = data / "secrets.env"
    secrets.write_text(f"METACHAT_ALERT_SLACK={slack.address}/services/T/B/hush\n")
    secrets.chmod(0o600)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("METACHAT_")}
    argv = [sys.executable, "-m", "metachat", "watch", "--every", "1", "--data", str(data), *arguments]
    child = subprocess.Popen(argv, env=environment)
    try:
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) == 0


def test_the_process_watches_alone_and_is_small(facade: Facade, slack: FarEnd, tmp_path: Path) -> None:
    assert "no measurements since" in run("uptime", data=tmp_path).stdout
    port = free_port()
    more = ("--address", facade.address, "--heartbeat-port", str(port), "--heartbeat-within", "6")
    with watching(tmp_path, slack, *more) as child:
        facade.status = 503
        slack.await_(lambda one: "[PAGE]" in one.text and "SiteDown" in one.text, 30)
        facade.status = 200
        slack.await_(lambda one: "[RESOLVED]" in one.text and "SiteDown" in one.text, 30)
        slack.await_(lambda one: "[PAGE]" in one.text and "Prometheus or Alertmanager" in one.text, 30)
        deadline = time.monotonic() + 30
        while not any("[RESOLVED]" in one.text and "Alertmanager" in one.text for one in slack.received):
            assert httpx.post(f"http://127.0.0.1:{port}/", json={}).status_code == 200
            assert time.monotonic() < deadline
            time.sleep(0.5)
        status = Path(f"/proc/{child.pid}/status").read_text()
        resident = int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
        assert resident < 60_000, f"{resident} kB"
    told = json.loads(run("uptime", "--json", data=tmp_path).stdout)
    assert told["broken"] is None
    assert 0 < told["ratio"] < 1
    assert told["outages"][0]["said"].startswith("503")
    assert told["unwatched"] > 86_000, "before it began, nobody looked"
    assert "DOWN" in run("uptime", data=tmp_path).stdout


def test_a_certificate_is_looked_at_as_it_is_served() -> None:
    with serving_tls(lambda: certificate(days=3)) as port:
        found = probes.certificate(f"https://127.0.0.1:{port}")
        assert found is not None
        assert (found.ok, found.said) == (False, "good for 3.0 more days")
        assert not probes.health(f"https://127.0.0.1:{port}").ok, "nobody vouches for it"
    assert probes.certificate("http://127.0.0.1:1") is None


@asynccontextmanager
async def chat(process: Process, database: Database) -> AsyncIterator[str]:
    tenant = await add_tenant(database, "acme")
    async with open_scope(database, tenant, actor="test") as scope:
        channel = await channels.create(scope, "webchat", "Shop", {})
    worker = subprocess.Popen([sys.executable, "-m", "metachat", "worker"], env=process.environment)
    try:
        yield str(channel.id)
    finally:
        worker.terminate()
        worker.wait(60)


async def test_a_true_question_gets_an_answer_or_the_reason(
    as_environment: dict[str, str], app_db: Database, tmp_path: Path
) -> None:
    process = Process(as_environment)
    help_page = tmp_path / "delivery.md"
    help_page.write_text("# Delivery\n\nDelivery to Germany takes 3 to 5 working days.\n")
    question = "How long does delivery to Germany take?"
    try:
        assert process.is_ready() == 200
        async with chat(process, app_db) as channel:
            declined = probes.question(process.address, probes.Question(channel, question))
            assert (declined.ok, declined.said[:9]) == (False, "declined:"), declined.said
            added = process.command("knowledge", "add", str(help_page), "--tenant", "acme")
            assert added.returncode == 0, added.stderr
            answered = probes.question(process.address, probes.Question(channel, question, "working days"))
            assert answered.ok, answered.said
            wrong = probes.question(process.address, probes.Question(channel, question, "xylophone"))
            assert (wrong.ok, "answered without 'xylophone'" in wrong.said) == (False, True), wrong.said
        silent = probes.question(process.address, probes.Question(channel, question, patience=2))
        assert (silent.ok, silent.said) == (False, "no answer within 2 s")
        nowhere = probes.Question("00000000-0000-7000-8000-000000000000", "Hello?")
        assert "404" in probes.question(process.address, nowhere).said
    finally:
        process.child.terminate()
        process.child.wait(30)
