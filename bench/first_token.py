"""Time to the first word of the built-in answerer over the demo's documents, search included."""

import json
import statistics

from bench.answers import QUESTIONS, help_centre
from bench.result import Result
from metachat.domain.assistant import Answer, Question, respond
from metachat.domain.assistant.extractive import Extractive

LIMIT = 150.0


async def run() -> list[Result]:
    """Ask each answerable question once, one after the other; the first one counts too."""
    questions = [json.loads(line) for line in QUESTIONS.read_text().splitlines()]
    async with help_centre() as (search, embedder):
        answerer = Extractive(embedder)
        answers = [
            await respond(
                Question(question["question"]), search=search, answerer=answerer, on_text=lambda _: None
            )
            for question in questions
            if question["answerable"]
        ]
    first = [answer.timings["first_token"] for answer in answers]
    return [
        Result("first word of an answer, p50", statistics.median(first), "ms", LIMIT),
        Result("first word of an answer, p95", statistics.quantiles(first, n=20)[-1], "ms", LIMIT),
        Result("first word, the first question of the process", first[0], "ms"),
        Result("of which search, p50", statistics.median(_searches(answers)), "ms"),
    ]


def _searches(answers: list[Answer]) -> list[float]:
    return [answer.timings["search"] for answer in answers]
