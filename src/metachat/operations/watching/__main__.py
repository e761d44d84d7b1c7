"""Runs a watch, as `metachat watch` starts it: without the command line's parser, it is a small process."""

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from metachat.foundation import redaction
from metachat.foundation.errors import Refusal
from metachat.operations.monitoring import settings, silences
from metachat.operations.monitoring.receivers import Receiver, open_one
from metachat.operations.secrets import open_store, place_of
from metachat.operations.watching import ledger
from metachat.operations.watching.beats import Beats
from metachat.operations.watching.probes import Question
from metachat.operations.watching.watch import Plan, Watch


def main(told: dict[str, Any]) -> None:
    """Watch until SIGTERM or SIGINT."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    data = Path(told["data"])
    question = Question(told["channel"], told["question"], told["expect"]) if told["channel"] else None
    plan = Plan(
        told["address"], told["every"], question, told["question_every"], told["heartbeat_within"],
        told["runbooks"],
    )  # fmt: skip
    beats = Beats(told["heartbeat_port"]) if told["heartbeat_port"] else None
    watch = Watch(
        plan, ledger.Ledger(data / ledger.FILE), lambda: _receivers(data, told["alerts"]),
        lambda: silences.kept(data), None if beats is None else lambda: beats.last, _say,
    )  # fmt: skip
    _say(f"watching {plan.address} every {plan.every:g} s")
    watch.run(stop)


def _receivers(data: Path, file: str) -> list[Receiver]:
    """Whoever hears of alerts now; one that cannot be opened does not keep the others from hearing."""
    found: list[Receiver] = []
    environ = {**os.environ, "METACHAT_DATA_DIR": str(data)}
    try:
        for line in settings.of_file(Path(file)) if file else settings.receivers(data):
            try:
                found.append(open_one(line, open_store(place_of(environ)), environ))
            except Refusal as refusal:
                _say(f"{line.name} cannot be told: {refusal.sentence}")
    except Refusal as refusal:
        _say(f"nobody can be told: {refusal.sentence} {refusal.detail}")
    return found


def _say(line: str) -> None:
    print(redaction.clean(line), file=sys.stderr, flush=True)


if __name__ == "__main__":
    redaction.die_discreetly()
    main(json.loads(sys.argv[1]))
