"""An api process as it really runs: a socket, signals, a database that goes away, the command line."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.conftest import Server
from tests.web.process import Process

from metachat.domain import channels
from metachat.foundation.db import Database
from metachat.foundation.ids import TenantId
from metachat.foundation.scope import open_scope
from metachat.operations.local.postgres import Cluster


async def test_a_drain_ends_streams_at_once_and_leaves_in_order(
    process: Process, app_db: Database, tenant: TenantId
) -> None:
    async with open_scope(app_db, tenant, actor="test") as scope:
        channel = (await channels.create(scope, "webchat", "Shop")).id
    async with httpx.AsyncClient(base_url=process.address, timeout=15) as client:
        session = (await client.post(f"/chat/{channel}/sessions", json={})).json()
        bearer = {"Authorization": f"Bearer {session['token']}"}
        async with client.stream("GET", f"/chat/{channel}/events", headers=bearer) as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            parts = stream.aiter_bytes()
            await anext(parts)
            began = time.monotonic()
            os.kill(process.child.pid, signal.SIGTERM)
            async for _ in parts:  # ends in order, not by a broken connection
                pass
            assert time.monotonic() - began < 2
    assert process.ends(within=5) == 0


def test_the_command_line_manages_accounts(process: Process) -> None:
    made = process.command("tenants", "create", "cafe", "--name", "Café Mozart")
    assert (made.returncode, made.stdout) == (0, "Created the tenant cafe (Café Mozart).\n"), made.stderr
    assert process.command("tenants", "create", "cafe").returncode == 65
    assert "cafe" in process.command("tenants", "list").stdout
    user = process.command("user", "create", "eva@cafe.example", "-t", "cafe", "--role", "owner", "--json")
    password = json.loads(user.stdout)["password"]
    who: dict[str, Any] = {"email": "eva@cafe.example", "password": password}
    assert httpx.post(f"{process.address}/api/v1/session", json=who).status_code == 201
    reset = json.loads(process.command("user", "reset-password", "eva@cafe.example", "--json").stdout)
    assert httpx.post(f"{process.address}/api/v1/session", json=who).status_code == 401
    assert httpx.post(f"{process.address}/api/v1/session", json=who | reset).status_code == 201
    key = json.loads(
        process.command("keys", "create", "till", "--scope", "account:read", "-t", "cafe", "--json").stdout
    )
    bearer = {"Authorization": f"Bearer {key['secret']}"}
    assert httpx.get(f"{process.address}/api/v1/tenant", headers=bearer).json()["slug"] == "cafe"
    assert key["key"]["last_four"] in process.command("keys", "list", "-t", "cafe").stdout
    assert process.command("keys", "revoke", key["key"]["id"], "-t", "cafe").returncode == 0
    assert httpx.get(f"{process.address}/api/v1/tenant", headers=bearer).status_code == 401


def test_the_command_line_says_plainly_what_is_wrong(process: Process, tmp_path: Path) -> None:
    wrong = process.command("user", "create", "eva@cafe.example", "-t", "nowhere")
    assert (wrong.returncode, wrong.stderr.splitlines()[0]) == (66, "metachat: There is no such tenant.")
    assert "Traceback" not in wrong.stderr
    process.child.terminate()
    process.ends(within=5)
    away = process.command("tenants", "list")
    assert away.returncode == 69
    assert "metachat up" in away.stderr


async def test_unready_while_the_database_is_away_and_ready_again_after(
    tmp_path_factory: pytest.TempPathFactory, as_environment: dict[str, str], postgres: Server
) -> None:
    own = Cluster(tmp_path_factory.mktemp("away"), settings={"fsync": "off"})
    own.ensure()
    own.start()
    from metachat.foundation import migrations

    superuser = own.dsn("postgres", "postgres", own.superuser_password)
    await migrations.prepare(superuser, "metachat", postgres.passwords)
    await migrations.migrate(own.dsn("metachat_owner", "metachat", postgres.passwords["metachat_owner"]))
    address = own.dsn("metachat_app", "metachat", postgres.passwords["metachat_app"])
    process = Process(as_environment | {"METACHAT_DATABASE_URL": address})
    try:
        assert process.is_ready() == 200
        own.stop()
        began = time.monotonic()
        away = httpx.get(f"{process.address}/health/ready", timeout=10)
        assert (away.status_code, away.json()["code"]) == (503, "database_away")
        assert time.monotonic() - began < 3
        assert httpx.get(f"{process.address}/health/live").status_code == 200
        who = {"email": "eva@cafe.example", "password": "whatever it was"}
        refused = httpx.post(f"{process.address}/api/v1/session", json=who, timeout=15)
        assert (refused.status_code, refused.json()["code"]) == (503, "database_away")
        own.start()
        assert httpx.get(f"{process.address}/health/ready", timeout=10).status_code == 200
    finally:
        process.child.terminate()
        process.ends(within=8)
        own.stop()
