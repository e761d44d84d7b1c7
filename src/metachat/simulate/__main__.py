"""A simulator as a child process of tests and benchmarks; see `meta.process`."""

import json
import sys
import threading
from dataclasses import asdict

import msgspec

from metachat.simulate.deliveries import Patience
from metachat.simulate.limits import Rates
from metachat.simulate.model import Account
from metachat.simulate.serve import Simulator, listen


def main(port: str, seed: str, pause: str) -> None:
    """Read the account from standard input, tell the address, and serve until the input ends."""
    account = msgspec.json.decode(sys.stdin.readline(), type=Account)
    simulator = Simulator(listen("127.0.0.1", int(port)), account, Rates(), Patience(float(pause)), int(seed))

    def ready() -> None:
        print(json.dumps({"address": simulator.address, "account": asdict(account)}), flush=True)

    def leave_with_parent() -> None:
        sys.stdin.read()
        simulator.stop()

    threading.Thread(target=leave_with_parent, daemon=True).start()
    simulator.run(ready)


if __name__ == "__main__":
    main(*sys.argv[1:])
