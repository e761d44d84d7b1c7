"""When a channel that was lively counts as silent: made-up histories, and the job over a real inbox."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from tests.conftest import add_tenant
from tests.hooks import meta
from tests.hooks.conftest import Shop

from metachat.domain import channels
from metachat.domain.channels import health
from metachat.domain.channels.health import Traffic, is_silent
from metachat.domain.channels.health.model import KEPT, first_traffic
from metachat.foundation.ids import ChannelId, TenantId, uuid7
from metachat.foundation.queue import Job, store
from metachat.foundation.queue.model import Lease
from metachat.foundation.scope import open_scope

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
TENANT, CHANNEL = TenantId(uuid7()), ChannelId(uuid7())


def opening_hours(hour: datetime) -> int:
    """A busy shop: something every five minutes on workdays from 8 to 18."""
    return 12 if hour.weekday() < 5 and 8 <= hour.hour < 18 else 0


def around_the_clock(_hour: datetime) -> int:
    """Something every five minutes."""
    return 12


def history(slots_of: Callable[[datetime], int], until: datetime, weeks: int = 4) -> Traffic:
    """A channel's traffic up to a moment, by a function of the hour."""
    hour = until.replace(minute=0)
    hours = [hour - timedelta(hours=back) for back in range(weeks * 7 * 24 - 1, -1, -1)]
    return Traffic(TENANT, CHANNEL, until, hour, bytes(slots_of(hour) for hour in hours))


def test_a_busy_shop_is_missed_within_the_hour() -> None:
    traffic = history(opening_hours, MONDAY.replace(hour=10))
    assert is_silent(traffic, MONDAY.replace(hour=10, minute=25)) is None
    found = is_silent(traffic, MONDAY.replace(hour=10, minute=45))
    assert found is not None
    assert (found.rule, found.since, found.missed) == ("by_the_hour", MONDAY.replace(hour=10), 9.0)


def test_nights_and_weekends_are_no_silence() -> None:
    friday = MONDAY - timedelta(days=3)
    traffic = history(opening_hours, friday.replace(hour=17, minute=55))
    for hours in range(1, 62):
        assert is_silent(traffic, friday.replace(hour=18) + timedelta(hours=hours)) is None, hours
    assert is_silent(traffic, MONDAY.replace(hour=9)) is not None


def test_one_strange_day_does_not_change_what_is_usual() -> None:
    holiday = (MONDAY - timedelta(days=7)).date()

    def slots(hour: datetime) -> int:
        return 0 if hour.date() == holiday else opening_hours(hour)

    assert is_silent(history(slots, MONDAY.replace(hour=10)), MONDAY.replace(hour=11)) is not None


def test_a_channel_of_two_weeks_has_no_hours_to_compare_with_yet() -> None:
    fresh = history(opening_hours, MONDAY.replace(hour=10), weeks=1)
    assert is_silent(fresh, MONDAY.replace(hour=12)) is None


def test_a_slow_channel_is_missed_after_twice_its_longest_pause() -> None:
    def daily(hour: datetime) -> int:
        return 1 if hour.hour == (7 * hour.day) % 24 else 0  # once a day, at another hour each day

    traffic = history(daily, MONDAY.replace(hour=(7 * MONDAY.day) % 24))
    assert is_silent(traffic, traffic.last_update_at + timedelta(hours=47)) is None
    found = is_silent(traffic, traffic.last_update_at + timedelta(days=4))
    assert found is not None
    assert found.rule == "by_its_longest_pause"


def test_what_was_never_lively_is_never_silent() -> None:
    traffic = first_traffic(TENANT, CHANNEL, MONDAY)
    assert is_silent(traffic, MONDAY + timedelta(days=300)) is None


def test_a_burst_counts_once_and_four_weeks_are_kept() -> None:
    traffic = first_traffic(TENANT, CHANNEL, MONDAY)
    for second in range(200):
        traffic = traffic.after(MONDAY + timedelta(seconds=second))
    assert traffic.hours == b"\x01"
    traffic = traffic.after(MONDAY + timedelta(minutes=5)).after(MONDAY + timedelta(hours=2, minutes=1))
    assert (traffic.hours, traffic.last_update_at) == (
        b"\x02\x00\x01",
        MONDAY + timedelta(hours=2, minutes=1),
    )
    late = traffic.after(MONDAY + timedelta(days=400))
    assert (len(late.hours), sum(late.hours)) == (KEPT, 1)


async def follow(shop: Shop) -> None:
    """Let the job run once."""
    async with shop.worker.transaction() as db:
        await db.execute("DELETE FROM jobs WHERE kind = 'channel-health'")
    await health.follow_minutely(shop.worker)
    async with shop.worker.transaction() as db:
        id = await db.value("SELECT id FROM jobs WHERE kind = 'channel-health'")
        await store.claim(db, "me:1:1.1", ["channel-health"], 60)
    lease = Lease("channel-health", "me:1:1.1")
    await health.follow(Job(id, "channel-health", "channel-health", None, {}, 0, 0, None, lease), shop.worker)
    async with shop.worker.transaction() as db:
        await db.execute(store.LEAVE_ALL, owner="me:1:1.1")


async def delivered(shop: Shop, ago: timedelta) -> None:
    """Something came some time ago."""
    answer = await shop.deliver(meta.change(meta.value(meta.message())))
    assert answer.status_code == 200
    async with shop.worker.transaction() as db:
        await db.execute(
            "UPDATE inbox SET received_at = now() - :ago::interval WHERE id = (SELECT max(id) FROM inbox)",
            ago=ago,
        )


async def lively(shop: Shop) -> None:
    """Make the channel's last weeks lively around the clock, up to two hours ago."""
    traffic = history(around_the_clock, datetime.now(UTC) - timedelta(hours=2))
    async with shop.worker.transaction() as db:
        await db.execute(
            "INSERT INTO channel_traffic (tenant_id, channel_id, last_update_at, hour, hours)"
            " VALUES (:tenant, :channel, :last, :hour, :hours)",
            tenant=shop.tenant, channel=shop.channel.id, last=traffic.last_update_at,
            hour=traffic.hour, hours=traffic.hours,
        )  # fmt: skip


async def test_a_silent_channel_is_found_once_and_heard_again(shop: Shop) -> None:
    stranger = await add_tenant(shop.platform.database, "stranger")
    await lively(shop)
    await follow(shop)
    await follow(shop)
    async with open_scope(shop.platform.database, shop.tenant, actor="test") as scope:
        [finding] = await health.open_findings(scope)
    assert (finding.kind, finding.subject) == ("channel.silent", shop.channel.id)
    assert finding.detail["channel"] == "WhatsApp"
    async with open_scope(shop.platform.database, stranger, actor="test") as scope:
        assert await health.open_findings(scope) == []
        assert await health.last_update_of(scope, [shop.channel.id]) == {}
    [seen] = await health.findings_everywhere(shop.platform.database)
    assert seen["tenant"] == "acme"

    async with shop.worker.transaction() as db:
        await db.execute("UPDATE traffic_progress SET until = now() - interval '1 hour'")
    await delivered(shop, timedelta(minutes=1))
    await follow(shop)
    assert await health.findings_everywhere(shop.platform.database) == []
    kinds = [row["kind"] for row in await shop.rows("SELECT kind FROM events ORDER BY id")]
    assert kinds == ["channel.silent", "channel.heard_again"]


async def test_a_paused_channel_is_not_missed(shop: Shop) -> None:
    await lively(shop)
    await follow(shop)
    async with open_scope(shop.platform.database, shop.tenant, actor="test") as scope:
        await channels.pause(scope, shop.channel.id)
        assert await health.open_findings(scope) == []
    await follow(shop)
    assert await health.findings_everywhere(shop.platform.database) == []
    async with open_scope(shop.platform.database, shop.tenant, actor="test") as scope:
        await channels.resume(scope, shop.channel.id)
    await follow(shop)
    assert len(await health.findings_everywhere(shop.platform.database)) == 1


async def test_each_moment_is_counted_once_and_the_doctors_knock_never(shop: Shop) -> None:
    async with shop.worker.transaction() as db:
        await db.execute("UPDATE traffic_progress SET until = now() - interval '3 hours'")
    for minutes in (100, 100, 40, 1):
        await delivered(shop, timedelta(minutes=minutes))
    await shop.send(
        meta.webhook(meta.change(meta.value(meta.message(), number="0"))), None
    )  # comes within the last seconds: not settled yet
    await follow(shop)
    [row] = await shop.rows("SELECT hours FROM channel_traffic")
    assert sum(row["hours"]) == 3
    async with shop.worker.transaction() as db:
        await db.execute(
            "UPDATE inbox SET received_at = now() - interval '10 seconds', correlation_id = 'channel-doctor'"
            " WHERE id = (SELECT max(id) FROM inbox)"
        )
        await db.execute("UPDATE traffic_progress SET until = until - interval '1 second'")
    await follow(shop)
    [row] = await shop.rows("SELECT hours FROM channel_traffic")
    assert sum(row["hours"]) == 3


@pytest.mark.usefixtures("platform")
async def test_a_channel_that_is_gone_holds_nobody_up(shop: Shop) -> None:
    async with shop.worker.transaction() as db:
        await db.execute("UPDATE traffic_progress SET until = now() - interval '3 hours'")
    await delivered(shop, timedelta(minutes=2))
    await delivered(shop, timedelta(minutes=2))
    async with shop.worker.transaction() as db:
        await db.execute(
            "UPDATE inbox SET channel_id = :id WHERE id = (SELECT max(id) FROM inbox)", id=uuid7()
        )
    await follow(shop)
    assert [row["channel_id"] for row in await shop.rows("SELECT channel_id FROM channel_traffic")] == [
        shop.channel.id
    ]
