"""One command beside `metachat up`, and anybody can try WhatsApp."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
from tests.local.conftest import Up, free_port, until

from metachat.foundation import simulated
from metachat.simulate import Meta, new_account

ANA = "385911234567"


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A platform that runs, with one tenant."""
    made = Up(tmp_path_factory.mktemp("connected") / "data")
    try:
        assert made.starts().run("tenants", "create", "acme").returncode == 0
        yield made
    finally:
        made.cleans_up()


class Simulating:
    """`metachat simulate` beside it."""

    def __init__(self, up: Up, *options: str) -> None:
        self.output = up.data.parent / f"simulate-{free_port()}.out"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "metachat", "simulate", "--tenant", "acme", *options],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=up.environment,
            )  # fmt: skip

    def says(self, words: str) -> str:
        """Wait until it has said something; gives all that it said."""
        until(lambda: words in self.output.read_text() or self.process.poll() is not None, words)
        said = self.output.read_text()
        assert words in said, said
        return said

    def stops(self) -> None:
        """Ask it to stop, as Ctrl-C does."""
        self.process.terminate()
        assert self.process.wait(20) in (0, -15)


def test_a_question_on_a_phone_is_answered_on_it(up: Up) -> None:
    running = Simulating(up, "--port", str(free_port()))
    try:
        running.says("Webhooks    http://")
        meta = _meta(up)
        meta.says(ANA, "What does delivery cost?")
        (answer,) = meta.until(meta.arrivals, 60)
        assert answer.phone == ANA
        meta.until(lambda: meta.thread(ANA)[0].step == "read")
        meta.until(lambda: meta.arrivals()[0].step == "read")
        (place,) = up.data.glob(simulated.PLACE_FILE)
        assert place.stat().st_mode & 0o777 == 0o600
        meta.close()
    finally:
        running.stops()


def test_the_next_time_it_is_the_same_business_with_the_same_channel(up: Up) -> None:
    running = Simulating(up)
    try:
        running.says("Webhooks    http://")
        meta = _meta(up)
        meta.says(ANA, "Here I am again")
        assert meta.until(meta.arrivals, 60)
        meta.close()
    finally:
        running.stops()
    listed = subprocess.run(
        [sys.executable, "-c", _COUNT], env=up.environment, capture_output=True, text=True, check=True
    )
    assert json.loads(listed.stdout) == ["whatsapp"]


def test_in_production_it_refuses(up: Up) -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "metachat", "simulate", "--no-connect"], check=False,
        env=up.environment | {"METACHAT_PRODUCTION": "true"}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert refused.returncode != 0
    assert "no place in production" in refused.stderr


def test_it_refuses_to_be_reachable_unless_told_aloud(up: Up) -> None:
    refused = up.run("simulate", "--host", "0.0.0.0", "--port", str(free_port()), "--no-connect")
    assert refused.returncode != 0
    assert "--expose-to-the-network" in refused.stderr


_COUNT = """
import json
from metachat.cli.client import connect
print(json.dumps([channel["kind"] for channel in connect("acme").pages("/api/v1/channels")]))
"""


def _meta(up: Up) -> Meta:
    place = simulated.read(up.data)
    assert place is not None
    return Meta(place.address, new_account())
