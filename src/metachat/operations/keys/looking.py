"""What is to be seen of keys in a database: for the status of a rotation, and for the doctor."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from metachat.foundation import clock
from metachat.foundation.key_records import NAMES
from metachat.foundation.keyring import Keyring
from metachat.operations.keys import moving
from metachat.operations.keys.installation import Installation
from metachat.operations.keys.model import Holder, Record, Sealed, old
from metachat.operations.keys.store import Ledger, open_ledger
from metachat.operations.secrets.contract import read_all


@dataclass(frozen=True, slots=True)
class Looked:
    """The rings of the store, and what the database says of them; `peppers` counts API keys under each."""

    now: datetime
    rings: Mapping[str, Keyring] = field(repr=False)
    records: Sequence[Record]
    holders: Sequence[Holder]
    sealed: Sealed
    peppers: Mapping[str, int]


async def look(there: Installation) -> Looked:
    """Look at everything; opens every encrypted row. Raises Fault, StoreRefusal, OSError, PostgresError."""
    stored = read_all(there.store(moving.NAME))
    rings = {name: Keyring.of(stored[name]) for name in NAMES if name in stored}
    async with open_ledger(there.database()) as ledger:
        return Looked(
            clock.now(), rings, await ledger.records(), await ledger.holders(),
            await moving.examine(ledger, rings[moving.NAME]), await _peppers(ledger),
        )  # fmt: skip


async def status(there: Installation, name: str) -> dict[str, Any]:
    """How a key's rotation stands: its records, who holds what, and the API keys that were not used yet."""
    async with open_ledger(there.database()) as ledger:
        records = await ledger.records(name)
        holders = await ledger.holders()
        unused = await _unused(ledger, records) if name == "api_key_pepper" and old(records) else []
    return {
        "name": name,
        "keys": [_shown(record) for record in records],
        "processes": [
            {"process": str(one), "holds": one.rings[name]} for one in holders if name in one.rings
        ],
        "unused_api_keys": unused,
    }


def _shown(record: Record) -> dict[str, Any]:
    times = (record.recorded_at, record.current_since, record.old_since, record.retired_at)
    return {
        "id": record.id, "state": record.state,
        "since": max(time for time in times if time).isoformat(timespec="seconds"),
        "rows_done": record.rows_done, "rows_total": record.rows_total,
    }  # fmt: skip


async def _unused(ledger: Ledger, records: Sequence[Record]) -> list[dict[str, Any]]:
    pepper = next(record.id for record in records if record.state == "current")
    found: list[dict[str, Any]] = []
    for tenant in await ledger.tenants():
        async with ledger.of_tenant(tenant) as rows:
            found += [
                {
                    "tenant": str(tenant), "id": str(key["id"]), "name": key["name"],
                    "ends_in": key["last_four"], "last_used_at": key["last_used_at"],
                }
                for key in await rows.keys_not_under(pepper)
            ]  # fmt: skip
    return found


async def _peppers(ledger: Ledger) -> Counter[str]:
    counted = Counter[str]()
    for tenant in await ledger.tenants():
        async with ledger.of_tenant(tenant) as rows:
            counted.update(await rows.peppers())
    return counted
