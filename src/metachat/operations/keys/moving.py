"""Encrypted rows moved under the key in use, batch by batch, beside whoever works on them."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from uuid import UUID

from metachat.foundation.crypto import SealBroken
from metachat.foundation.keyring import Keyring
from metachat.foundation.sealed_columns import SEALED_COLUMNS, SealedColumn
from metachat.foundation.sealing import head, key_id, seal, unseal
from metachat.operations.keys.model import Broken, RowsBroken, Sealed
from metachat.operations.keys.store import Ledger, TenantLedger

NAME = "encryption_key"

# A batch is one short transaction: it holds its rows for some milliseconds.
BATCH = 200

# Rows written with the old key while others were moved; a second look finds them, a third finds none.
_ROUNDS = 5
_TOLD = 10


async def move(ledger: Ledger, ring: Keyring, progress: Callable[[int, int], None]) -> None:
    """Seal every row anew that is not under the key in use; raises RowsBroken.

    Tells progress: rows done, and of how many. It may be killed at any time, and begun again.
    """
    for _ in range(_ROUNDS):
        left = await count(ledger, ring)
        await ledger.expect(NAME, ring.current.id, left)
        if not left:
            return
        done, broken = 0, list[Broken]()
        for tenant in await ledger.tenants():
            for column in SEALED_COLUMNS:
                async for moved, found in _move_column(ledger, ring, tenant, column):
                    done, broken = done + moved, [*broken, *found]
                    progress(done, left)
        refuse(broken)
    raise RowsBroken(f"{await count(ledger, ring)} rows are still written under another key")


async def count(ledger: Ledger, ring: Keyring) -> int:
    """How many rows are not under the key in use."""
    total = 0
    for tenant in await ledger.tenants():
        async with ledger.of_tenant(tenant) as rows:
            for column in SEALED_COLUMNS:
                total += await rows.count(column, head(ring))
    return total


async def examine(ledger: Ledger, ring: Keyring) -> Sealed:
    """Open every encrypted row with these keys."""
    under, broken = Counter[str](), list[Broken]()
    for tenant in await ledger.tenants():
        for column in SEALED_COLUMNS:
            async for batch in _batches(ledger, tenant, column, b""):
                for row, stored in batch:
                    under[_key_of(column, stored)] += 1
                    if _opened(ring, tenant, column, row, stored) is None:
                        broken.append(Broken(column.name, tenant, row))
    return Sealed(under, broken)


def refuse(broken: Sequence[Broken]) -> None:
    """Refuse to go on with rows that don't open; raises RowsBroken."""
    if broken:
        more = f"\nand {len(broken) - _TOLD} more" if len(broken) > _TOLD else ""
        raise RowsBroken("\n".join(map(str, broken[:_TOLD])) + more)


async def _move_column(
    ledger: Ledger, ring: Keyring, tenant: UUID, column: SealedColumn
) -> AsyncIterator[tuple[int, list[Broken]]]:
    async for batch in _batches(ledger, tenant, column, head(ring)):
        async with ledger.of_tenant(tenant) as rows:
            moved = await _move_batch(rows, ring, tenant, column, batch)
        # After its transaction: whoever stops listening leaves none behind, to be ended at any time.
        yield moved


async def _move_batch(
    rows: TenantLedger,
    ring: Keyring,
    tenant: UUID,
    column: SealedColumn,
    batch: list[tuple[str, bytes | str]],
) -> tuple[int, list[Broken]]:
    moved: list[tuple[str, bytes | str, bytes | str]] = []
    broken: list[Broken] = []
    for row, stored in batch:
        plain = _opened(ring, tenant, column, row, stored)
        if plain is None:
            broken.append(Broken(column.name, tenant, row))
        else:
            sealed = seal(ring, plain, column.place(tenant, row))
            moved.append((row if column.row else str(tenant), stored, column.stored(sealed)))
    done = await rows.exchange(column, moved) if moved else 0
    await rows.count_moved(NAME, ring.current.id, done)
    return done, broken


async def _batches(
    ledger: Ledger, tenant: UUID, column: SealedColumn, without: bytes
) -> AsyncIterator[list[tuple[str, bytes | str]]]:
    after: str | None = None
    while True:
        async with ledger.of_tenant(tenant) as rows:
            found = await rows.rows(column, after, BATCH, without)
        if found:
            yield [(one["row"] if column.row else "", one["stored"]) for one in found]
        if len(found) < BATCH:
            return
        after = found[-1]["row"]


def _key_of(column: SealedColumn, stored: bytes | str) -> str:
    try:
        return key_id(column.sealed(stored))
    except SealBroken:
        return "none"


def _opened(ring: Keyring, tenant: UUID, column: SealedColumn, row: str, stored: bytes | str) -> bytes | None:
    try:
        return unseal(ring, column.sealed(stored), column.place(tenant, row))
    except SealBroken:
        return None
