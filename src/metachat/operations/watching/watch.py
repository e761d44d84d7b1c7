"""The watch: round after round it probes, writes down what it found, and tells people."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from metachat.operations.monitoring.receivers import Message, Receiver, deliver
from metachat.operations.monitoring.rules import runbook
from metachat.operations.monitoring.silences import Silence
from metachat.operations.watching import probes
from metachat.operations.watching.ledger import Ledger, entries
from metachat.operations.watching.model import Judge, Result, jumped

# By probe: the alert, its runbook, and what is the matter.
ALERTS = {
    probes.HEALTH: ("SiteDown", "SiteDown", "The site cannot be reached, or says that it cannot serve."),
    probes.CERTIFICATE: ("SiteCertificate", "CertificateExpiring", "The certificate is about to run out."),
    probes.QUESTION: ("SiteSilent", "SiteDown", "The assistant does not answer a customer's question."),
    probes.HEARTBEAT: (
        "AlertsDead",
        "Watchdog",
        "Prometheus or Alertmanager is dead: no other alert will come.",
    ),
}
_MOST_WAITING = 100


@dataclass(frozen=True, slots=True)
class Plan:
    """What to look at, and how often; seconds. The question is asked each `question_every` seconds only."""

    address: str
    every: float = 30.0
    question: probes.Question | None = None
    question_every: float = 300.0
    heartbeat_within: float = 300.0
    runbooks: str = ""


@dataclass
class Watch:
    """One watch; `say` prints for whoever reads its log."""

    plan: Plan
    ledger: Ledger
    receivers: Callable[[], Iterable[Receiver]]
    silences: Callable[[], Iterable[Silence]]
    last_beat: Callable[[], float] | None = None
    say: Callable[[str], None] = print
    _judges: dict[str, Judge] = field(default_factory=dict)
    _waiting: list[tuple[Receiver, Message]] = field(default_factory=list)
    _unheard: set[str] = field(default_factory=set)
    _asked: float | None = None
    _looked: tuple[float, float] | None = None

    def run(self, stop: threading.Event) -> None:
        """Watch until told to stop."""
        self._take_up()
        self._note({"watch": "began", "address": self.plan.address})
        while not stop.is_set():
            began = time.monotonic()
            self.round()
            stop.wait(max(0.0, self.plan.every - (time.monotonic() - began)))
        self._note({"watch": "ended"})

    def round(self) -> list[Result]:
        """Look once at everything that is due, and tell people what changed."""
        self._look_at_clock()
        results = self._results()
        found = {one.probe: {"ok": one.ok, "seconds": one.seconds, "said": one.said} for one in results}
        self._note({"every": self.plan.every, "found": found})
        self._send_waiting()
        for one in results:
            unheard = one.probe in self._unheard and not one.ok and not self._is_silent(one)
            if self._judges.setdefault(one.probe, Judge()).hear(one) or unheard:
                self._tell(one)
        return results

    def _results(self) -> list[Result]:
        results = [probes.health(self.plan.address)]
        if (served := probes.certificate(self.plan.address)) is not None:
            results.append(served)
        if self.last_beat is not None:
            results.append(probes.heartbeat(self.last_beat(), time.monotonic(), self.plan.heartbeat_within))
        now = time.monotonic()
        judge = self._judges.get(probes.QUESTION)
        doubtful = judge is not None and (judge.open or judge.doubts)
        if self.plan.question is not None and (
            self._asked is None or doubtful or now - self._asked >= self.plan.question_every
        ):
            self._asked = now
            results.append(probes.question(self.plan.address, self.plan.question))
        return results

    def _tell(self, result: Result) -> None:
        alert, page, summary = ALERTS[result.probe]
        state = "resolved" if result.ok else "firing"
        if not result.ok and self._is_silent(result):
            self._unheard.add(result.probe)
            self._note({"alert": alert, "state": "silenced", "probe": result.probe})
            return
        if result.probe in self._unheard:
            self._unheard.discard(result.probe)
            if result.ok:  # nobody heard of its beginning
                return
        message = Message(
            alert, state, "page", summary, runbook(page, self.plan.runbooks), result.said, self.plan.address
        )
        self._note({"alert": alert, "state": state, "probe": result.probe})
        self._waiting += [(receiver, message) for receiver in self._receivers()]
        self._send_waiting()

    def _is_silent(self, result: Result) -> bool:
        return any(one.alert == ALERTS[result.probe][0] for one in self.silences())

    def _receivers(self) -> list[Receiver]:
        found = list(self.receivers())
        if not found:
            self.say("nobody hears of alerts; add somebody: metachat alerts add slack")
        return found

    def _send_waiting(self) -> None:
        """Send what has not arrived yet; what fails is tried again in the next round."""
        waiting = self._waiting[-_MOST_WAITING:]
        self._waiting = []
        for receiver, message in waiting:
            answer = deliver(receiver, message)
            told = {"told": receiver.name, "alert": message.key, "state": message.state}
            self._note({**told, "delivered": answer.delivered, "said": answer.said})
            if not answer.delivered:
                self.say(f"{receiver.name} did not take {message.key}: {answer.said}. {answer.fix}")
                if answer.retry_after is not None:
                    self._waiting.append((receiver, message))

    def _take_up(self) -> None:
        """Know what an earlier watch told people, so that its end is told too."""
        for entry in entries(self.ledger.path):
            if entry.get("state") in ("firing", "resolved") and "probe" in entry:
                self._judges[str(entry["probe"])] = Judge(open=entry["state"] == "firing")

    def _look_at_clock(self) -> None:
        now = (time.time(), time.monotonic())
        if self._looked is not None:
            jump = jumped(now[0] - self._looked[0], now[1] - self._looked[1])
            if jump is not None:
                self.say(f"the clock was set by {jump:.0f} s; what is measured goes on")
                self._note({"clock": round(jump)})
        self._looked = now

    def _note(self, entry: dict[str, Any]) -> None:
        before = self.ledger.trouble
        kept = self.ledger.add({"at": round(time.time(), 3), **entry})
        if self.ledger.trouble not in ("", before):
            later = "" if kept else "the ledger cannot be written, and is made up for later: "
            self.say(f"{later}{self.ledger.trouble}")
