"""A whole site on loopback: platform, Prometheus, Alertmanager, and people who hear of alerts."""

import re
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

from metachat.operations.monitoring import alertmanager, prometheus, rules
from metachat.operations.monitoring.rules import Limits, Pace
from tests.monitoring.people import People
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
    """What was measured of one rule, in seconds from when its fault, or the end of that, was complete."""

    rule: str
    fired: float
    resolved: float


@dataclass
class Site:
    """The processes, and what came to the far ends."""

    folder: Path
    environment: dict[str, str]
    people: People
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
        for name in ("api", "worker", "node", "alertmanager"):
            self.run(name)
        self.await_(lambda: httpx.get(f"{self.address}/health/ready").status_code == 200)
        self.await_(lambda: httpx.get(f"http://127.0.0.1:{self.worker}/metrics").status_code == 200)
        self.run("prometheus")  # the last: what starts slowly is no fault
        self.await_(lambda: httpx.get(f"http://127.0.0.1:{self.prometheus}/-/ready").status_code == 200)
        self.await_(lambda: len(self.asked("up == 1")) == 3)  # what was never seen well cannot get worse

    def write(self) -> None:
        """Write what Prometheus and Alertmanager read."""
        self.people.write(self.folder)
        addresses = (f"{self.people.beats.address}/ping", f"http://127.0.0.1:{self.watch}/")
        beats = [alertmanager.Heartbeat(address=address) for address in addresses]
        told = alertmanager.render(self.people.receivers(), self.folder, beats, PACE, self.people.post())
        if not _reads_addresses_from_files():
            told = told.replace(
                f'"url_file": "{self.folder / "hook"}"', f'"url": "{self.people.hook_address}"'
            )
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
            self._argv(name), env=self._environment(name), stdout=log, stderr=log, cwd=self.folder
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

    def metachat(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a command on the site, as its operator or a timer does."""
        return subprocess.run(
            [sys.executable, "-m", "metachat", *argv], env=self._environment(), cwd=self.folder,
            capture_output=True, text=True, timeout=200, check=False,
        )  # fmt: skip

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
        # Not asked of its memory: where it was killed, what fired then seems to go on for minutes.
        told = httpx.get(f"http://127.0.0.1:{self.prometheus}/api/v1/alerts").json()["data"]["alerts"]
        return any(one["labels"]["alertname"] == rule and one["state"] == "firing" for one in told)

    def asked(self, query: str) -> list[dict[str, Any]]:
        """What Prometheus answers."""
        address = f"http://127.0.0.1:{self.prometheus}/api/v1/query"
        told: list[dict[str, Any]] = httpx.get(address, params={"query": query}).json()["data"]["result"]
        return told

    def suffers(
        self, rule: str, begin: Callable[[], Any], end: Callable[[], Any], within: float = 60
    ) -> None:
        """Make a fault, see that people hear of it and what to do, end it, and see that they hear of that."""
        self.await_(lambda: not self.is_firing(rule))
        before = time.time()
        begin()
        began = time.time()
        try:
            fired = self.people.hear(rule, before, within, f"{BASE}/{rule}.md")
        except AssertionError as error:
            logs = [(self.folder / f"{name}.log").read_text()[-3000:] for name in ("api", "worker")]
            seen = self.asked(rules.named(rule).expression(self.limits))
            error.add_note("\n".join([f"{self.asked('ALERTS')}\n{seen}", *logs]))
            raise
        finally:
            before = time.time()
            end()
            ended = time.time()
        resolved = self.people.hear_the_end(rule, before, within + 30)
        # Where a fault takes a while to make, people may hear of it before it is complete.
        self.measured.append(Detection(rule, max(fired - began, 0), max(resolved - ended, 0)))

    def _environment(self, name: str = "") -> dict[str, str]:
        told = {"METACHAT_PORT": str(self.api), "METACHAT_METRICS_PORT": str(self.worker)}
        # By that the mail server is known; nothing else here is reached over TLS by Go's programs.
        authority = {"SSL_CERT_FILE": str(self.folder / "authority.pem")}
        return {**self.environment, **told, **(authority if name == "alertmanager" else {})}

    def _argv(self, name: str) -> list[str]:
        if name in ("api", "worker"):
            return [sys.executable, "-m", "metachat", name]
        if name == "archive":
            return [sys.executable, "-m", "metachat", "backup", "archive"]
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


def _reads_addresses_from_files() -> bool:
    """Whether this Alertmanager is 0.26 or newer, as Debian 13's is; an older one gets the address itself."""
    argv = [program("prometheus-alertmanager"), "--version"]
    told = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30)
    found = re.search(r"version (\d+)\.(\d+)", told.stdout + told.stderr)
    assert found is not None
    return (int(found[1]), int(found[2])) >= (0, 26)
