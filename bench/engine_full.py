"""The whole pipeline with the bundled embedder beside its processor limit: built-in answerer, and a model.

Nothing is scripted but the customers, their provider and what the model says, which quotes the first passage:
each question is embedded, searched for, answered, and every statement proven. The model's adapter speaks HTTP
with a server on loopback that answers at once.
"""

import os
import re
import time
from functools import partial

from tests.fakes.model_server import Asked, ModelServer, Reply

from bench.chat_site import ChatSite
from bench.engine import PEOPLE, Engine, Told, engine, furnish
from bench.result import Result
from metachat.domain import assistant
from metachat.domain.assistant.model import Profile
from metachat.foundation.db import Database
from metachat.foundation.keyring import Keyring
from metachat.foundation.scope import open_scope

WARM_UP = {"window": 8, "count": 100, "people": PEOPLE}
CROWD = {"window": 32, "count": 400, "people": PEOPLE}
CALM = {"rate": 2, "count": 40, "people": PEOPLE}
_PASSAGE = re.compile(r"passage 1:\n<data-\w+>\n\(.*\)\n(.*?)</data", re.DOTALL)
_SENTENCE = re.compile(r"[A-Z][^.!?\n]{20,}(?=\.)")


async def run() -> list[Result]:
    """Measure how much it takes, what each answer costs, and how long one takes in calm."""
    async with engine("--real") as running:
        built_in = await _measure(running, "built-in answerer")
    with ModelServer(_quotes) as model:
        async with engine(
            "--real",
            furnishing=partial(_with_model, model.openai_url),
            METACHAT_ALLOWED_NETWORKS="127.0.0.0/8",
        ) as running:
            adapted = await _measure(running, "adapter of a model")
        assert model.requests, "the model was asked"
    return [*built_in, *adapted]


async def _measure(running: Engine, who: str) -> list[Result]:
    await running.run(WARM_UP)
    before = time.process_time()
    crowd = await running.run(CROWD)
    ours = (time.process_time() - before) * 1000 / CROWD["count"]
    calm = await running.run(CALM)
    return _results(who, crowd, calm, ours)


def _results(who: str, crowd: Told, calm: Told, model: float) -> list[Result]:
    cores = os.cpu_count() or 1
    costs = {**crowd.cost, "the model's server": model}
    # One worker is one process: it is at its limit when it fills a core, or all of them the machine.
    limit = min(1000 / crowd.cost["worker"], cores * 1000 / sum(costs.values()))
    return [
        Result(
            f"{who}: answers, one worker",
            crowd.rate,
            "msg/s",
            limit * 0.7,
            "of its processor limit",
            "higher",
        ),
        Result(f"{who}: what the processor time of an answer allows", limit, "msg/s"),
        *(Result(f"{who}: processor time an answer: {part}", each, "ms") for part, each in costs.items()),
        Result(f"{who}: webhook to provider call at 2 msg/s, p50", calm.quantile(0.5), "ms"),
        Result(f"{who}: the same, p99", calm.quantile(0.99), "ms"),
        Result(f"{who}: never answered", crowd.lost + calm.lost, "msg", 0),
    ]


def _quotes(asked: Asked) -> Reply:
    found = _PASSAGE.search(asked.data)
    sentence = found and _SENTENCE.search(found[1])
    return Reply(f'{sentence[0]} [1: "{sentence[0]}"].') if sentence else Reply("NO_ANSWER")


async def _with_model(url: str, site: ChatSite) -> list[str]:
    opened = await furnish(site)
    assert site.tenant is not None
    database = await Database.open(site.environment["METACHAT_DATABASE_URL"], size=1)
    key = Keyring.of(site.environment["METACHAT_ENCRYPTION_KEY"])
    async with open_scope(database, site.tenant, actor="cli") as scope:
        chosen = Profile(provider="openai", model="bench", base_url=url, api_key="sk-bench")
        await assistant.set_profile(scope, key, chosen)
    await database.close()
    return opened
