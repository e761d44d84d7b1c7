"""Whatever the OpenAPI document allows, and much that it forbids, sent to every route: no surprise."""

import os
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks as openapi
from tests.web.conftest import PASSWORD, Office
from tests.web.process import Process

from metachat.domain.accounts import ApiScope, Role

# Of each mode for each route; `make soak` sends more.
EXAMPLES = 4 * int(os.environ.get("METACHAT_SOAK", "1"))
EXAMPLES_OF_NOBODY = 2  # refused before anything is looked at
CHECKS: list[Any] = [
    not_a_server_error,
    openapi.status_code_conformance,
    openapi.content_type_conformance,
    openapi.response_schema_conformance,
    openapi.negative_data_rejection,
]
# A valid question waits for a worker, which has its own tests; who may not ask is answered at once.
WAITS_FOR_WORKER = {"ask"}
# It would end the session that all others are tested with.
LAST = {"sign_out"}


@pytest.mark.parametrize("who", ["nobody", "owner", "key"])
@pytest.mark.timeout(600)
async def test_every_route_keeps_to_its_description(acme: Office, process: Process, who: str) -> None:
    headers = await credentials(acme, process, who)
    schema = schemathesis.openapi.from_url(f"{process.address}/api/openapi.json")
    operations = [as_operation(result) for result in schema.get_all_operations()]
    assert len(operations) > 20
    operations.sort(key=lambda one: one.definition.raw["operationId"] in LAST)
    for operation in operations:
        name = operation.definition.raw["operationId"]
        if name in WAITS_FOR_WORKER and headers:
            continue
        if name in LAST:
            # Whoever was let in still is: what was sent until here reached what it was meant to reach.
            still = httpx.get(f"{process.address}/api/v1/tenant", headers=headers)
            assert still.status_code == (200 if headers else 401)
        for mode in GenerationMode:
            fuzz(operation.as_strategy(generation_mode=mode), headers)


def as_operation(result: Any) -> Any:
    """An operation of the document; one that is not sound fails the test."""
    return result.ok()


async def credentials(acme: Office, process: Process, who: str) -> dict[str, str]:
    """Headers of someone who sends requests."""
    if who == "nobody":
        return {}
    if who == "key":
        return {"Authorization": f"Bearer {await acme.key(*ApiScope)}"}
    owner = {"email": f"{Role.OWNER.value}@acme.example", "password": PASSWORD}
    answer = httpx.post(f"{process.address}/api/v1/session", json=owner)
    return {
        "Cookie": f"mc_session={answer.cookies['mc_session']}",
        "X-CSRF-Token": answer.json()["csrf_token"],
    }


def fuzz(cases: Any, headers: dict[str, str]) -> None:
    """Send a bounded number of cases, the same ones in every run."""

    @seed(20260101)
    @settings(
        max_examples=EXAMPLES if headers else EXAMPLES_OF_NOBODY,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        # The first case that fails is told as it is: making it smaller takes minutes.
        phases=[Phase.generate],
    )
    @given(case=cases)
    def send(case: Any) -> None:
        case.call_and_validate(headers=headers, checks=CHECKS)

    run: Callable[[], None] = send
    run()
