"""A whole site on loopback: platform, Prometheus, Alertmanager, and people who hear of alerts."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from metachat.operations.monitoring import alertmanager, prometheus, rules, statuses
from metachat.operations.monitoring.rules import Limits, Pace
from metachat.operations.site import Receiver
from tests.monitoring.far_end import FarEnd, Received
from tests.monitoring.tools import program

BASE = "https://wiki.example/runbooks"
# Seconds of silence after which the watch holds Prometheus or Alertmanager for dead.
SILENT = 8
# A scrape may take as long as the time between two: less is too little on a machine that others use.
PACE = Pace(scrape=2, evaluate=1, group_wait=1, group_interval=1, repeat=3600, heartbeat=3, hold=0.3)


def free_port() -> int:
    """A port that nobody has just now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@dataclass
class Detection:
    """What was measured of one rule, in seconds."""

    rule: str
    fired: float
    resolved: float


@dataclass
class Site:
    """The processes, and what came to the far ends."""

    folder: Path
    environment: dict[str, str]
    slack: FarEnd
    duty: FarEnd
    beats: FarEnd
    stack: ExitStack
    limits: Limits
    api: int = field(default_factory=free_port)
    worker: int = field(default_factory=free_port)
    node: int = field(default_factory=free_port)
    prometheus: int = field(default_factory=free_port)
    alertmanager: int = field(default_factory=free_port)
    watch: int = field(default_factory=free_port)
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    measured: list[Detection] = field(default_factory=list)
    deaths: dict[str, float] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        """The platform's data folder."""
        return Path(self.environment["METACHAT_DATA_DIR"])

    @property
    def address(self) -> str:
        """Where the platform answers."""
        return f"http://127.0.0.1:{self.api}"

    def start(self) -> None:
        """Start everything."""
        self.write()
        for name in ("api", "worker", "node", "alertmanager", "prometheus"):
            self.run(name)
        self.await_(lambda: httpx.get(f"{self.address}/health/ready").status_code == 200)
        self.await_(lambda: httpx.get(f"http://127.0.0.1:{self.worker}/metrics").status_code == 200)
        self.await_(lambda: httpx.get(f"http://127.0.0.1:{self.prometheus}/-/ready").status_code == 200)
        self.await_(lambda: len(self.asked("up == 1")) == 3)  # what was never seen well cannot get worse

    def write(self) -> None:
        """Write what Prometheus and Alertmanager read."""
        (self.folder / "chat").write_text(f"{self.slack.address}/services/T/B/hush")
        (self.folder / "duty").write_text("routing-key")
        receivers = [
            Receiver(name="chat", kind="slack"),
            Receiver(name="duty", kind="pagerduty", endpoint=f"{self.duty.address}/v2/enqueue"),
        ]
        addresses = (f"{self.beats.address}/ping", f"http://127.0.0.1:{self.watch}/")
        beats = [alertmanager.Heartbeat(address=address) for address in addresses]
        told = alertmanager.render(receivers, self.folder, beats, PACE)
        (self.folder / "alertmanager.yml").write_text(told)
        (self.folder / "rules.yml").write_text(rules.render(self.limits, PACE, BASE))
        targets = {
            "metachat": [f"127.0.0.1:{self.api}", f"127.0.0.1:{self.worker}"],
            "node": [f"127.0.0.1:{self.node}"],
        }
        told = prometheus.render(
            targets, self.folder / "rules.yml", PACE, f"127.0.0.1:{self.alertmanager}", "chat.example"
        )
        (self.folder / "prometheus.yml").write_text(told)

    def adjust(self, **limits: Any) -> None:
        """Give rules other limits from now on, as an operator does who reloads Prometheus."""
        self.limits = replace(self.limits, **limits)
        (self.folder / "rules.yml").write_text(rules.render(self.limits, PACE, BASE))
        before = self._reloaded()
        self.running["prometheus"].send_signal(signal.SIGHUP)
        self.await_(lambda: self._reloaded() > before)

    def _reloaded(self) -> float:
        told = httpx.get(f"http://127.0.0.1:{self.prometheus}/metrics").text.splitlines()
        name = "prometheus_config_last_reload_success_timestamp_seconds "
        return float(next(line for line in told if line.startswith(name)).partition(" ")[2])

    def run(self, name: str) -> None:
        """Start one of the processes."""
        log = self.stack.enter_context((self.folder / f"{name}.log").open("ab"))
        self.running[name] = subprocess.Popen(
            self._argv(name), env=self._environment(), stdout=log, stderr=log, cwd=self.folder
        )

    def kill(self, name: str) -> None:
        """End one of the processes without a word."""
        self.running[name].kill()
        self.running.pop(name).wait()

    def stop(self) -> None:
        """Stop what runs."""
        for process in self.running.values():
            process.send_signal(signal.SIGTERM)
        for process in self.running.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def tells(self, operation: str, **told: object) -> None:
        """An operation leaves word of how it went."""
        path = statuses.file(self.data, operation)
        new = path.with_suffix(".new")
        new.write_text(json.dumps({"at": time.time(), "ok": True, "ok_at": time.time(), **told}))
        new.replace(path)

    def await_(self, well: Callable[[], bool], within: float = 60) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + within
        while True:
            try:
                if well():
                    return
            except httpx.TransportError:
                pass
            assert time.monotonic() < deadline, "it did not come about"
            time.sleep(0.1)

    def is_firing(self, rule: str) -> bool:
        """Whether Prometheus holds a rule for broken."""
        return bool(self.asked(f'ALERTS{{alertname="{rule}",alertstate="firing"}}'))

    def asked(self, query: str) -> list[dict[str, Any]]:
        """What Prometheus answers."""
        address = f"http://127.0.0.1:{self.prometheus}/api/v1/query"
        told: list[dict[str, Any]] = httpx.get(address, params={"query": query}).json()["data"]["result"]
        return told

    def suffers(
        self, rule: str, begin: Callable[[], None], end: Callable[[], None], within: float = 60
    ) -> None:
        """Make a fault, see that people hear of it and what to do, end it, and see that they hear of that."""
        severity = rules.named(rule).severity
        self.await_(lambda: not self.is_firing(rule))
        began = time.time()
        begin()
        try:
            fired = self.slack.await_(_from(began, rule, "firing"), within)
            trigger = None
            if severity == "page":
                trigger = self.duty.await_(
                    lambda one: one.at > began and one.body["event_action"] == "trigger" and rule in one.text,
                    10,
                )
            page = f"{BASE}/{rule}.md"
            assert page in fired.text
            assert f"[{severity.upper()}]" in fired.text
        except AssertionError as error:
            logs = [(self.folder / f"{name}.log").read_text()[-3000:] for name in ("api", "worker")]
            seen = self.asked(rules.named(rule).expression(self.limits))
            error.add_note("\n".join([f"{self.asked('ALERTS')}\n{seen}", *logs]))
            raise
        finally:
            ended = time.time()
            end()
        resolved = self.slack.await_(_from(ended, rule, "resolved"), within + 30)
        if trigger is not None:
            assert page in trigger.text
            key = trigger.body["dedup_key"]
            self.duty.await_(
                lambda one: one.body["event_action"] == "resolve" and one.body["dedup_key"] == key, 10
            )
        self.measured.append(Detection(rule, fired.at - began, resolved.at - ended))

    def heard_since(self, moment: float) -> set[str]:
        """The rules that people heard of since then."""
        return {rule.name for rule in rules.RULES for one in self.slack.received
                if one.at > moment and _from(moment, rule.name, "firing")(one)}  # fmt: skip

    def _environment(self) -> dict[str, str]:
        told = {"METACHAT_PORT": str(self.api), "METACHAT_METRICS_PORT": str(self.worker)}
        return {**os.environ, **self.environment, **told}

    def _argv(self, name: str) -> list[str]:
        if name in ("api", "worker"):
            return [sys.executable, "-m", "metachat", name]
        if name == "watch":
            return [
                sys.executable, "-m", "metachat", "watch", "--address", self.address, "--every", "1",
                "--heartbeat-port", str(self.watch), "--heartbeat-within", str(SILENT), "--runbooks", BASE,
                "--data", str(self.folder / "watch"),
            ]  # fmt: skip
        if name == "node":
            listen = f"--web.listen-address=127.0.0.1:{self.node}"
            only = ["--collector.cpu", "--collector.meminfo", "--collector.filesystem"]
            # What others write on this machine's disks is no part of a story: those of tests are in memory.
            only.append("--collector.filesystem.fs-types-exclude=^(ext[34]|xfs|btrfs|overlay|devtmpfs)$")
            return [program("prometheus-node-exporter"), listen, "--collector.disable-defaults", *only]
        if name == "alertmanager":
            return [
                program("prometheus-alertmanager"), "--config.file=alertmanager.yml",
                f"--web.listen-address=127.0.0.1:{self.alertmanager}", "--cluster.listen-address=",
                "--storage.path=alertmanager",
            ]  # fmt: skip
        return [
            program("prometheus"), "--config.file=prometheus.yml", "--storage.tsdb.path=prometheus",
            f"--web.listen-address=127.0.0.1:{self.prometheus}", "--rules.alert.resend-delay=1s",
        ]  # fmt: skip


def _from(moment: float, rule: str, state: str) -> Callable[[Received], bool]:
    def wanted(one: Received) -> bool:
        title = one.body["attachments"][0]["title"]
        return (
            one.at > moment and title.endswith(f": {rule}") and ("RESOLVED" in title) == (state == "resolved")
        )

    return wanted
