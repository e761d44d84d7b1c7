"""What the operator sees of the queue, and nobody else; jobs that were laid aside run again."""

from typing import Any

import pytest
from tests.hooks.conftest import Shop
from tests.web.conftest import Office

from metachat.domain.accounts import ApiScope, Role
from metachat.foundation.queue import watching


async def bury(shop: Shop, *kinds: str) -> None:
    """Lay jobs aside."""
    for number, kind in enumerate(kinds, 1):
        await shop.rows(
            "INSERT INTO dead_jobs (id, lane, kind, tenant_id, payload, attempts, error, created_at)"
            " VALUES ($1, $2, $3, $4, '{\"secret\": \"of a customer\"}', 8, 'Boom: it broke', now())",
            number, f"lane:{number}", kind, shop.tenant,
        )  # fmt: skip


def operator(shop: Shop) -> dict[str, str]:
    """The operator's header."""
    token = shop.platform.settings.cli_token
    assert token is not None
    return {"Authorization": f"Bearer {token.reveal()}"}


async def ask(shop: Shop, method: str, path: str, **options: Any) -> Any:
    """Ask as the operator."""
    answer = await shop.client.request(method, path, headers=operator(shop), **options)
    assert answer.status_code < 300, answer.text
    return answer.json()


async def test_depth_and_dead_jobs_are_seen(shop: Shop) -> None:
    await bury(shop, "turn", "turn", "index")
    await shop.rows("INSERT INTO jobs (lane, kind, tenant_id) VALUES ('l', 'deliver', $1)", shop.tenant)
    await shop.rows("INSERT INTO jobs (lane, kind, run_at) VALUES ('l', 'tidy', now() + interval '1 day')")
    kinds = {one["kind"]: one for one in (await ask(shop, "GET", "/api/v1/operator/queue"))["kinds"]}
    assert {name: (one["waiting"], one["due"], one["dead"]) for name, one in kinds.items()} == {
        "deliver": (1, 1, 0), "tidy": (1, 0, 0), "turn": (0, 0, 2), "index": (0, 0, 1),
    }  # fmt: skip
    dead = await ask(shop, "GET", "/api/v1/operator/dead-jobs")
    assert [(one["id"], one["kind"], one["tenant"]) for one in dead["items"]] == [
        (1, "turn", "acme"), (2, "turn", "acme"), (3, "index", "acme"),
    ]  # fmt: skip
    assert "secret" not in str(dead)


async def test_dead_jobs_run_again_one_or_all(shop: Shop) -> None:
    await bury(shop, "turn", "turn", "index", "index")
    assert (await ask(shop, "POST", "/api/v1/operator/dead-jobs/2/replay"))["jobs"] == 1
    gone = await shop.client.post("/api/v1/operator/dead-jobs/2/replay", headers=operator(shop))
    assert (gone.status_code, gone.json()["code"]) == (404, "dead_job_not_found")
    done = await ask(shop, "POST", "/api/v1/operator/dead-jobs/replay", params={"up_to": 3})
    assert done == {"jobs": 2, "left": False}
    assert [row["id"] for row in await shop.rows("SELECT id FROM dead_jobs")] == [4]
    risen = await shop.rows("SELECT lane, payload::text FROM jobs WHERE lane LIKE 'lane:%' ORDER BY id")
    assert [row["lane"] for row in risen] == ["lane:2", "lane:1", "lane:3"]
    assert all("of a customer" in row["payload"] for row in risen)


async def test_the_queue_and_findings_are_measured_for_this_machine_alone(shop: Shop) -> None:
    await bury(shop, "turn")
    await shop.rows("INSERT INTO jobs (lane, kind) VALUES ('l', 'deliver')")
    told = (await shop.client.get("/metrics")).text
    assert 'metachat_queue_jobs{kind="deliver"} 1.0' in told
    assert 'metachat_queue_dead_jobs{kind="turn"} 1.0' in told
    assert 'metachat_findings{kind="channel.silent"} 0.0' in told
    outside = await shop.client.get("/metrics", headers={"x-forwarded-for": "203.0.113.7"})
    assert outside.status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/operator/queue"),
        ("GET", "/api/v1/operator/dead-jobs"),
        ("POST", "/api/v1/operator/dead-jobs/1/replay"),
        ("POST", "/api/v1/operator/dead-jobs/replay"),
        ("GET", "/api/v1/operator/findings"),
    ],
)
async def test_nobody_else_sees_or_moves_any(shop: Shop, acme: Office, method: str, path: str) -> None:
    await bury(shop, "turn")
    owner = await acme.enters(Role.OWNER)
    key = {"Authorization": f"Bearer {await acme.key(*ApiScope)}"}
    assert (await owner.sends(method, path)).status_code == 401
    assert (await shop.client.request(method, path, headers=key)).status_code == 401
    assert len(await shop.rows("SELECT id FROM dead_jobs")) == 1


async def test_the_functions_answer_to_the_operators_setting_alone(shop: Shop) -> None:
    await bury(shop, "turn")
    async with shop.platform.database.transaction(tenant=shop.tenant, credential="on") as db:
        assert await db.all(watching.DEPTH) == []
        assert await db.all(watching.DEAD, after=0, most=10) == []
        assert await db.all(watching.RAISE, one=None, up_to=None, most=10) == []
    assert len(await shop.rows("SELECT id FROM dead_jobs")) == 1
