"""What `metachat up` runs here: its own processes, with a scripted, instant model and search in the worker.

Everything else is the product's: supervisor, Postgres, api processes, queue, engine and sending.
"""

import importlib
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import replace

from metachat.cli import child, plain_refusals
from metachat.domain.assistant import AnswerRequest, Claim, Final, Piece, Source, Usage
from metachat.domain.assistant.actions import Search
from metachat.domain.assistant.turns import Desk
from metachat.domain.knowledge import Passage
from metachat.foundation.ids import DocumentId, TenantId, uuid7
from metachat.wiring import Platform

MODULE = "tests.counting.child"


class Echo:
    """Answers with the only passage that there is."""

    async def answer(self, request: AnswerRequest) -> AsyncIterator[Piece]:
        """Say it, as a claim that its passage bears out."""
        said = request.passages[0].text
        yield Claim(said, (Source(1, said),))
        yield Final(Usage("scripted"))


def search_of(_tenant: TenantId) -> Search:
    """A search that finds the questions' own names, so that each answer tells what it answers."""

    async def search(question: str, _language: str | None) -> list[Passage]:
        named = " ".join(re.findall(r"\w+-\d+", question))
        text = f"We have taken care of {named} already."
        echo = Passage(1, DocumentId(uuid7()), "echo.txt", None, None, text, "en", position=0)
        return [replace(echo, score=1.0, similarity=1.0, lexical=1.0)]

    return search


def worker() -> None:
    """Work on jobs, at a scripted desk."""

    def desk(platform: Platform) -> Desk:
        return Desk(platform.database, search_of, platform.profile_of, lambda _profile: Echo())

    Platform.desk = property(desk)  # type: ignore[assignment]
    child.worker()


def supervise(demo: str) -> None:
    """Start and keep everything, with this module's worker."""
    vars(importlib.import_module("metachat.operations.local.start"))["CHILD"] = MODULE
    child.supervise(demo)


ROLES = {**child.ROLES, "supervise": supervise, "worker": worker}

if __name__ == "__main__":
    with plain_refusals():
        ROLES[sys.argv[1]](*sys.argv[2:])
