"""The whole pipeline with the bundled embedder and the built-in answerer, beside what its processor allows.

Nothing is scripted but the customers and their provider: each question is embedded, searched for, answered
word for word from the documents, and proven.
"""

import os

from bench.engine import PEOPLE, engine
from bench.result import Result

WARM_UP = {"window": 8, "count": 100, "people": PEOPLE}
CROWD = {"window": 32, "count": 400, "people": PEOPLE}
CALM = {"rate": 2, "count": 40, "people": PEOPLE}


async def run() -> list[Result]:
    """Measure how much it takes, what each answer costs, and how long one takes in calm."""
    async with engine("--real") as running:
        await running.run(WARM_UP)
        crowd = await running.run(CROWD)
        calm = await running.run(CALM)
    cores = os.cpu_count() or 1
    spent = sum(crowd.cost.values())
    # One worker is one process: it is at its limit when it fills a core, or all of them the machine.
    limit = min(1000 / crowd.cost["worker"], cores * 1000 / spent)
    return [
        Result("answers, bundled embedder and built-in answerer, one worker", crowd.rate, "msg/s",
               limit * 0.5, "half of its processor limit", "higher"),
        Result("what the processor time of an answer allows", limit, "msg/s"),
        *(Result(f"processor time an answer: {part}", each, "ms") for part, each in crowd.cost.items()),
        Result("webhook to provider call at 2 msg/s, p50", calm.quantile(0.5), "ms"),
        Result("the same, p99", calm.quantile(0.99), "ms"),
        Result("never answered", crowd.lost + calm.lost, "msg", 0),
    ]  # fmt: skip
