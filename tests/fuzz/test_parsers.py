"""Whatever a provider or a customer makes of it: no parser breaks, loses an update, or takes for ever."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fuzz import webhooks
from tests.hooks import meta

T = TypeVar("T")

# `make soak` looks for longer, and elsewhere each time.
SOAK = int(os.environ.get("METACHAT_SOAK", "0"))
RUNS = 4_000 if not SOAK else 100_000
SEEDS = (1, 2) if not SOAK else tuple(random.SystemRandom().sample(range(1, 10**6), 2))
ROOT = Path(__file__).parents[2]


class Dice:
    """Choices by chance, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def pick(self, items: list[T]) -> T:
        """One of some."""
        return self._random.choice(items)

    def number(self, low: int, high: int) -> int:
        """A number between two."""
        return self._random.randint(low, high)


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_no_update_of_a_nearly_right_webhook_is_lost(seed: int) -> None:
    body = webhooks.webhook(Dice(seed))
    assert len(webhooks.understood(body)) == webhooks.count(body)


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=3_000))
def test_no_bytes_break_a_parser(data: bytes) -> None:
    webhooks.understood(data)
    webhooks.judged(data)


def told(count: int, **more: Any) -> bytes:
    """A batch of so many messages."""
    return meta.webhook(meta.change(meta.value(*(meta.message(f"n {n}", **more) for n in range(count)))))


def deep(levels: int) -> bytes:
    """A message that is nested so deeply."""
    inner = '{"context":' * levels + "1" + "}" * levels
    item = '{"from":"1","id":"m","type":"text","text":' + inner + "}"
    return ('{"entry":[{"changes":[{"field":"messages","value":{"messages":[' + item + "]}}]}]}").encode()


@pytest.mark.parametrize(
    ("small", "large"),
    [
        (told(100), told(1_000)),
        (told(1, text={"body": "🏕️" * 100}), told(1, text={"body": "🏕️" * 16_384})),
        (told(1, contacts=[{}] * 1_000), told(1, contacts=[{}] * 10_000)),
        (told(2, errors=[{"code": 1}] * 1_000), told(2, errors=[{"code": 1}] * 10_000)),
        (deep(100), deep(900)),
        (deep(100), deep(100_000)),
        (b"[" * 100, b"[" * 100_000),
    ],
    ids=["batch", "long text", "many cards", "many errors", "nested", "nested deeply", "brackets"],
)
def test_the_work_grows_with_the_size_and_not_faster(small: bytes, large: bytes) -> None:
    least = webhooks.steps(lambda: webhooks.understood(small)) / len(small)
    most = webhooks.steps(lambda: webhooks.understood(large)) / len(large)
    assert most <= least * 1.5 + 0.05


def test_people_of_a_batch_are_found_without_looking_at_all_of_them_each_time() -> None:
    def batch(count: int) -> bytes:
        items = [meta.message(f"n {n}", sender=f"38591{n:07d}") for n in range(count)]
        return meta.webhook(meta.change(meta.value(*items)))

    few, many = batch(10), batch(1_000)
    least = webhooks.steps(lambda: webhooks.understood(few)) / 10
    most = webhooks.steps(lambda: webhooks.understood(many)) / 1_000
    assert most <= least * 1.5


def test_a_name_that_came_as_an_endless_number_names_nobody() -> None:
    said = {**meta.message(), "from_user_id": 10**310}
    assert len(webhooks.understood(meta.webhook(meta.change(meta.value(said))))) == 1


def seeds_for(folder: Path) -> None:
    """Webhooks as Meta writes them, for the fuzzer to begin with."""
    samples = [
        meta.webhook(meta.change(meta.value(meta.message(id="wamid.first")))),
        meta.webhook(
            meta.change(meta.value(statuses=[meta.status("wamid.x", "failed", errors=[{"code": 1}])]))
        ),
        meta.webhook(meta.change({"event": "APPROVED"}, "message_template_status_update")),
    ]
    for number in range(30):
        samples.append(webhooks.webhook(Dice(number)))
    for number, sample in enumerate(samples):
        (folder / f"{number}.json").write_bytes(sample)
    (folder / "bytes").write_bytes(bytes(range(256)) * 4)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_fuzzer_that_follows_the_code_finds_nothing(seed: int, tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="atheris has no wheel for this machine: nothing fuzzed by coverage")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    seeds_for(corpus)
    command = [
        sys.executable, "-m", "tests.fuzz.harness", f"-runs={RUNS}", f"-seed={seed}", "-max_len=8192",
        "-timeout=60", "-rss_limit_mb=1500", f"-artifact_prefix={tmp_path}/", str(corpus),
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=1_800 if SOAK else 150, check=False
    )
    left = [path.name for path in tmp_path.iterdir() if path.is_file()]
    assert done.returncode == 0, f"{done.stdout[-3_000:]}\n{done.stderr[-3_000:]}\n{left}"
    assert f"Done {RUNS} runs" in done.stderr
    assert json.dumps(left) == "[]"
