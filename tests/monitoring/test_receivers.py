"""Receivers: what the far end gets, and what we tell of its answer, well or ill."""

import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from metachat.foundation.settings import Secret
from metachat.operations.monitoring.receivers import Message, deliver
from metachat.operations.monitoring.receivers.email import Mail, Post
from metachat.operations.monitoring.receivers.pagerduty import PagerDuty
from metachat.operations.monitoring.receivers.posting import post
from metachat.operations.monitoring.receivers.slack import Slack
from metachat.operations.monitoring.receivers.webhook import Webhook
from tests import commands
from tests.monitoring.far_end import FarEnd, far_end

FIRING = Message(
    "ServiceDown", "firing", "page", "worker <!channel> is down", "https://wiki.example/ServiceDown.md"
)
RESOLVED = Message("ServiceDown", "resolved", "page", "worker is down", "https://wiki.example/ServiceDown.md")


@pytest.fixture
def end() -> Iterator[FarEnd]:
    with far_end() as running:
        yield running


def slack(end: FarEnd) -> Slack:
    return Slack("slack", Secret(f"{end.address}/services/T0/B0/secret-part"))


def test_slack_hears_of_the_beginning_and_the_end(end: FarEnd) -> None:
    assert deliver(slack(end), FIRING).said == "200 ok"
    assert deliver(slack(end), RESOLVED).delivered
    first, last = end.received
    assert first.body["text"].startswith("[PAGE] metachat: worker &lt;!channel&gt;"), "nobody is mentioned"
    assert "https://wiki.example/ServiceDown.md" in first.body["attachments"][0]["text"]
    assert last.body["text"].startswith("[RESOLVED]")


def test_pagerduty_opens_and_closes_one_incident(end: FarEnd) -> None:
    duty = PagerDuty("duty", Secret("routing-key"), f"{end.address}/v2/enqueue")
    assert "Event processed" in deliver(duty, FIRING).said
    assert deliver(duty, RESOLVED).delivered
    first, last = (one.body for one in end.received)
    assert (first["event_action"], last["event_action"]) == ("trigger", "resolve")
    assert first["dedup_key"] == last["dedup_key"] == "metachat/ServiceDown"
    assert first["payload"]["severity"] == "critical"
    assert first["links"][0]["href"] == "https://wiki.example/ServiceDown.md"


def test_a_webhook_gets_what_alertmanager_would_send(end: FarEnd) -> None:
    assert deliver(Webhook("hook", Secret(f"{end.address}/in?token=t")), FIRING).delivered
    body = end.received[0].body
    assert (body["version"], body["alerts"][0]["labels"]["alertname"]) == ("4", "ServiceDown")


def test_a_busy_far_end_is_asked_again_as_it_wishes(end: FarEnd) -> None:
    end.answers = [(429, "rate_limited", {"Retry-After": "3"}), (500, "oh", {})]
    pauses: list[float] = []
    answer = deliver(slack(end), FIRING, pauses.append)
    assert (answer.delivered, answer.said) == (True, "200 ok (after 3 tries)")
    assert pauses == [3, 2]


def test_a_far_end_that_stays_ill_is_left_after_three_tries(end: FarEnd) -> None:
    end.answers = [(503, "down", {})] * 5
    answer = deliver(slack(end), FIRING, lambda _: None)
    assert (answer.delivered, len(end.received)) == (False, 3)
    assert answer.said == "503 down (after 3 tries)"


def test_a_pause_that_is_too_long_is_not_waited_for(end: FarEnd) -> None:
    end.answers = [(429, "slow down", {"Retry-After": "3600"})]
    answer = deliver(slack(end), FIRING, lambda _: pytest.fail("nobody waits that long"))
    assert (answer.delivered, len(end.received)) == (False, 1)


@pytest.mark.parametrize(("status", "said"), [(404, "no_service"), (403, "invalid_token"), (410, "gone")])
def test_a_revoked_webhook_is_named_and_not_asked_again(end: FarEnd, status: int, said: str) -> None:
    end.answers = [(status, said, {})]
    answer = deliver(slack(end), FIRING)
    assert (answer.delivered, answer.said, len(end.received)) == (False, f"{status} {said}", 1)
    assert "Make a new incoming webhook" in answer.fix
    assert "secret-part" not in repr(answer)
    assert "secret-part" not in repr(slack(end))


def test_a_wrong_routing_key_is_named(end: FarEnd) -> None:
    end.answers = [(400, '{"status":"invalid event"}', {})]
    answer = deliver(PagerDuty("duty", Secret("k"), f"{end.address}/v2/enqueue"), FIRING)
    assert not answer.delivered
    assert "routing key" in answer.fix


@pytest.mark.parametrize(
    "address", ["", "nonsense", "ftp://127.0.0.1/", "http://hooks.example/x", "https://", "http://[::1"]
)
def test_an_address_that_is_none_is_refused_before_anything_is_sent(address: str) -> None:
    answer = deliver(Slack("s", Secret(address)), FIRING)
    assert not answer.delivered
    assert answer.retry_after is None
    assert answer.fix


def test_a_slow_far_end_costs_a_bounded_time(end: FarEnd) -> None:
    end.delay = 3
    began = time.monotonic()
    answer = post(f"{end.address}/x", {}, {}, seconds=0.5)
    assert (answer.delivered, answer.said) == (False, "no answer within 0.5 s")
    assert time.monotonic() - began < 2


def test_nobody_at_the_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    answer = deliver(Slack("s", Secret(f"http://127.0.0.1:{port}/x")), FIRING, lambda _: None)
    assert "cannot be reached (ConnectionRefusedError)" in answer.said


class MailServer:
    """Speaks as much SMTP as a letter needs."""

    def __init__(self, refuse: str = "") -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listening.getsockname()[1])
        self.refuse = refuse
        self.letter = ""
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        connection, _ = self.listening.accept()
        with connection, connection.makefile("rb") as lines:
            connection.sendall(b"220 here\r\n")
            for line in lines:
                word = line[:4].upper().decode().strip()
                if word == "DATA":
                    connection.sendall(b"354 go\r\n")
                    while (part := lines.readline()) != b".\r\n":
                        self.letter += part.decode()
                if word == "QUIT":
                    connection.sendall(b"221 bye\r\n")
                    return
                said = self.refuse if word == "RCPT" and self.refuse else "250 fine"
                connection.sendall(f"{said}\r\n".encode())


def test_a_letter_arrives() -> None:
    server = MailServer()
    through = Post("127.0.0.1", server.port, "chat@example.com", tls="none")
    assert deliver(Mail("mail", "ops@example.com", through), FIRING).delivered
    assert "Subject: [PAGE] metachat: worker" in server.letter
    assert "https://wiki.example/ServiceDown.md" in server.letter


def test_a_mailbox_that_is_refused_for_good_is_not_tried_again() -> None:
    server = MailServer("550 no such user")
    through = Post("127.0.0.1", server.port, "chat@example.com", tls="none")
    answer = deliver(Mail("mail", "ops@example.com", through), FIRING)
    assert (answer.delivered, answer.said) == (False, "550 ops@example.com refused")


def run(data: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("METACHAT_")}
    return commands.run("alerts", *arguments, "--data", str(data), env=environment, given=stdin)


def test_an_operator_adds_tries_and_removes_a_receiver(tmp_path: Path, end: FarEnd) -> None:
    nobody = run(tmp_path, "test")
    assert (nobody.returncode, "NOBODY hears" in nobody.stdout) == (1, True)
    secret = f"{end.address}/services/T0/B0/hush"
    added = run(tmp_path, "add", "slack", "--secret-file", "-", stdin=secret)
    assert added.returncode == 0, added.stderr
    assert "hush" not in (tmp_path / "alerts.toml").read_text() + added.stdout + added.stderr
    again = run(tmp_path, "add", "slack", "--secret-file", "-", stdin="https://other.example/x")
    assert again.returncode != 0
    tried = run(tmp_path, "test", "--receiver", "slack")
    assert (tried.returncode, tried.stdout) == (0, "ok  slack: 200 ok\n"), tried.stderr
    assert [one.body["text"][:10] for one in end.received] == ["[PAGE] met", "[RESOLVED]"]
    end.answers = [(404, "no_service", {})]
    revoked = run(tmp_path, "test")
    assert revoked.returncode == 1
    assert "BAD slack: 404 no_service\n    Make a new incoming webhook" in revoked.stdout
    assert "receiver  slack" in run(tmp_path, "list", "--alertmanager", "http://127.0.0.1:9").stdout
    assert run(tmp_path, "remove", "slack").returncode == 0
    assert "NOBODY" in run(tmp_path, "list", "--alertmanager", "http://127.0.0.1:9").stdout
    unknown = run(tmp_path, "test", "--receiver", "slack")
    assert "There is no receiver of this name" in unknown.stderr


def test_a_silence_is_kept_with_its_reason_and_its_end(tmp_path: Path) -> None:
    nowhere = ("--alertmanager", "http://127.0.0.1:9")
    done = run(tmp_path, "silence", "SiteDown", "--for", "2h", "--reason", "moving house", *nowhere)
    assert done.returncode == 0, done.stderr
    told = json.loads(run(tmp_path, "list", "--json", *nowhere).stdout)["silences"]
    assert (told[0]["alert"], told[0]["reason"]) == ("SiteDown", "moving house")
    assert 7100 < told[0]["until"] - time.time() < 7201
    assert run(tmp_path, "silence", "SiteDown", "--for", "400d", *nowhere).returncode != 0


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "alerts.toml").write_text('[[alerts]]\nname = "x"\nkind = "pigeon"\n')
    broken = run(tmp_path, "test")
    assert broken.returncode == 78
    assert "alerts.toml" in broken.stderr
    assert "alerts[0].kind" in broken.stderr
