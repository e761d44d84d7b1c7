"""What `metachat up` runs: each process without the weight of the command line's parser.

Run as `python -m metachat.cli.child ROLE [ARGUMENT]`. A role imports only what it needs.
"""

import importlib
import json
import os
import sys
import time
from pathlib import Path

from metachat.cli import plain_refusals
from metachat.foundation import redaction, settings

_READING_SECONDS = 300.0
_SETTLED = ("ready", "failed", "stale")


def supervise(demo: str) -> None:
    """Start and keep everything; `demo` is "demo" or "empty"."""
    start = importlib.import_module("metachat.operations.local.start")
    folder = importlib.import_module("metachat.operations.local.folder")
    # Before the settings, which lie partly in it: what is wrong with the folder is the better sentence.
    folder.ensure(settings.data_dir().absolute())
    start.run(start.Up(settings.load(process="up"), "demo-seed" if demo == "demo" else None), _say)


def api(fd: str) -> None:
    """Serve on the listening socket with this number."""
    loaded = settings.load(process="api")
    importlib.import_module("metachat.web.serve").run(loaded, int(fd), loaded.host, loaded.port)


def worker() -> None:
    """Work on jobs."""
    importlib.import_module("metachat.worker").main(settings.load(process="worker"))


def archive() -> None:
    """Keep backups coming: the log, full backups, drills."""
    keeping = importlib.import_module("metachat.operations.backups.keeping")
    keeping.of_settings(settings.load(process="up"), os.environ, _say)


def hand(folder: str) -> None:
    """Write the secrets that come from elsewhere than the data folder as files, and print their names."""
    handing = importlib.import_module("metachat.operations.secrets.handing")
    secrets = importlib.import_module("metachat.operations.secrets")
    print(json.dumps(handing.hand(secrets.place_of(os.environ), Path(folder))))


def prepare() -> None:
    """Bring the running embedded database to this version."""
    asyncio = importlib.import_module("asyncio")
    schema = importlib.import_module("metachat.operations.local.schema")
    records = importlib.import_module("metachat.foundation.key_records")
    loaded = settings.load(process="cli")
    for name in asyncio.run(schema.prepare(loaded.data_dir.absolute(), records.rings_of(loaded))):
        print(f"applied {name}")


def demo_seed() -> None:
    """Fill the demo shop."""
    importlib.import_module("metachat.cli.demo").seed()


def demo_wait() -> None:
    """Wait until the demo shop's documents are read, so that the first question finds its answer."""
    client = importlib.import_module("metachat.cli.client").connect("demo")
    deadline = time.monotonic() + _READING_SECONDS
    while time.monotonic() < deadline:
        states = [document["status"] for document in client.pages("/api/v1/documents")]
        if all(state in _SETTLED for state in states):
            break
        time.sleep(0.3)
    print(json.dumps({"read": states.count("ready"), "all": len(states)}))


def _say(line: str) -> None:
    print(line, flush=True)


ROLES = {
    "supervise": supervise,
    "api": api,
    "worker": worker,
    "archive": archive,
    "hand": hand,
    "prepare": prepare,
    "demo-seed": demo_seed,
    "demo-wait": demo_wait,
}

if __name__ == "__main__":
    redaction.die_discreetly()
    with plain_refusals():
        ROLES[sys.argv[1]](*sys.argv[2:])
