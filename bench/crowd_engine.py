"""A turn among a thousand tenants with a thousand conversations each, beside one among twenty with few."""

import asyncpg

from bench.chat_site import ChatSite
from bench.engine import engine, open_channels
from bench.result import Result
from metachat.foundation.db import Database
from metachat.foundation.ids import TenantId, uuid7

TENANTS, CONVERSATIONS, LIVELY = 1_000, 1_000, 20
PEOPLE = LIVELY * 20
WARM_UP = {"window": 8, "count": PEOPLE, "people": PEOPLE}
CALM = {"rate": 20, "count": 400, "people": PEOPLE}

# Straight into the tables, past triggers and walls: what counts is that they are there.
CROWD = (
    """INSERT INTO tenants (tenant_id, slug, name)
       SELECT uuidv7(), 'crowd-' || n, 'Crowd' FROM generate_series(1, $1) n""",
    """INSERT INTO channels (tenant_id, id, kind, name)
       SELECT tenant_id, uuidv7(), 'whatsapp', 'Crowd' FROM tenants t
       WHERE NOT EXISTS (SELECT FROM channels c WHERE c.tenant_id = t.tenant_id)""",
    """INSERT INTO contacts (tenant_id, id, channel_id, external_id, phone)
       SELECT c.tenant_id, uuidv7(), c.id, 'crowd' || n, 'crowd' || n
       FROM channels c, generate_series(1, $1) n WHERE c.kind = 'whatsapp'""",
    """INSERT INTO conversations (tenant_id, id, channel_id, contact_id, last_seq, last_text)
       SELECT tenant_id, uuidv7(), channel_id, id, 2, 'Hello' FROM contacts
       WHERE external_id LIKE 'crowd%'""",
    """INSERT INTO messages (tenant_id, id, conversation_id, channel_id, seq, author, text, provider_id,
         answered_by)
       SELECT tenant_id, uuidv7(), id, channel_id, seq,
         CASE seq WHEN 1 THEN 'customer' ELSE 'assistant' END, 'Hello', 'wamid.' || id || seq,
         CASE seq WHEN 1 THEN id END
       FROM conversations, generate_series(1, 2) seq WHERE last_text = 'Hello'""",
)


async def run() -> list[Result]:
    """Measure the same lively tenants alone, then in the crowd."""
    async with engine(furnishing=furnish) as running:
        assert running.site.cluster is not None
        owner = running.site.cluster.superuser_dsn("metachat")
        await running.run(WARM_UP)
        await settle(owner)
        alone = await running.run(CALM)
        await crowd(owner)
        await settle(owner)
        await running.run(WARM_UP)
        crowded = await running.run(CALM)
    held = "2 x alone"
    return [
        Result("a turn among 20 tenants with few conversations, p50", alone.quantile(0.5), "ms"),
        Result("the same, p99", alone.quantile(0.99), "ms"),
        Result(f"among {TENANTS:,} tenants with {CONVERSATIONS:,} conversations each, p50",
               crowded.quantile(0.5), "ms", alone.quantile(0.5) * 2, held),
        Result("the same, p99", crowded.quantile(0.99), "ms", alone.quantile(0.99) * 2, held),
        Result("processor time of Postgres a message, alone", alone.cost["Postgres"], "ms"),
        Result("the same in the crowd", crowded.cost["Postgres"], "ms"),
        Result("never answered", alone.lost + crowded.lost, "msg", 0),
    ]  # fmt: skip


async def furnish(site: ChatSite) -> list[str]:
    """Make the lively tenants and their channels."""
    database = await Database.open(site.environment["METACHAT_DATABASE_URL"], size=1)
    tenants = [TenantId(uuid7()) for _ in range(LIVELY)]
    for number, tenant in enumerate(tenants):
        async with database.transaction(tenant=tenant) as db:
            await db.execute(
                "INSERT INTO tenants (tenant_id, slug, name) VALUES (:tenant, :slug, 'Lively')",
                tenant=tenant, slug=f"lively-{number}",
            )  # fmt: skip
    await database.close()
    return await open_channels(site, tenants)


async def crowd(owner: str) -> None:
    """Fill the tables."""
    connection = await asyncpg.connect(owner, command_timeout=900)
    await connection.execute("SET session_replication_role = replica; SET synchronous_commit = off")
    for statement, count in zip(CROWD, (TENANTS - LIVELY, None, CONVERSATIONS, None, None), strict=True):
        await connection.execute(statement, *([] if count is None else [count]))
    await connection.close()


async def settle(owner: str) -> None:
    """What autovacuum does within minutes."""
    connection = await asyncpg.connect(owner, command_timeout=900)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
