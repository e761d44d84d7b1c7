"""A key replaced by a new one: handed out, taken into use, everything moved to it, the old one retired.

First every process learns the new key, and goes on with the old one; only then the new one comes into use,
so that none ever meets what it cannot read. Each step is told by the store and the database alone: whoever is
killed is resumed by looking again.
"""

from collections.abc import Callable, Sequence

from metachat.foundation import clock
from metachat.foundation.key_records import KeyringMismatch, Recorded, mismatches
from metachat.foundation.keyring import Key, Keyring
from metachat.operations.keys import moving
from metachat.operations.keys.installation import Installation
from metachat.operations.keys.model import (
    NothingToResume,
    NothingToRetire,
    OverlapLasts,
    Record,
    Step,
    current,
    next_step,
    old,
    overlap_ends,
)
from metachat.operations.keys.rolling import Behind, roll
from metachat.operations.keys.store import Ledger, alone, open_ledger
from metachat.operations.secrets.known import make

JOURNAL = "secrets.rotate"


async def rotate(there: Installation, name: str) -> str:
    """Rotate a key, or go on where a rotation ended; tells how it stands now.

    Raises RotationRunning, NeverStarted, ProcessesBehind, RowsBroken, StoreRefusal.
    """
    async with open_ledger(there.database()) as ledger, alone(ledger):
        return await _from_here(there, ledger, name)


async def resume(there: Installation, name: str) -> str:
    """Go on with a rotation, and begin none; raises NothingToResume besides what `rotate` does."""
    async with open_ledger(there.database()) as ledger, alone(ledger):
        if next_step(there.ring(name), await ledger.records(name)) is Step.MAKE:
            raise NothingToResume(name)
        return await _from_here(there, ledger, name)


async def retire(there: Installation, name: str, *, now: bool) -> str:
    """End the overlap of an old key; `now` does so before its time.

    Raises NothingToRetire, OverlapLasts besides what `rotate` does.
    """
    async with open_ledger(there.database()) as ledger, alone(ledger):
        records = await ledger.records(name)
        ring = there.ring(name)
        if next_step(ring, records) is not Step.MOVE:
            raise NothingToRetire(name)
        for record in old(records):
            ends = overlap_ends(record)
            if ends is not None and ends > clock.now() and not now:
                raise OverlapLasts(f"{name}: {record.id} until {ends:%Y-%m-%d %H:%M} UTC")
        await _take_into_use(there, ledger, name, ring)
        return await _retire(there, ledger, name, ring, old(records))


async def _from_here(there: Installation, ledger: Ledger, name: str) -> str:
    while True:
        ring, records = there.ring(name), await ledger.records(name)
        _check(name, ring, records)
        match next_step(ring, records):
            case Step.MAKE:
                there.keep(name, ring.also(Key.of(make().reveal())).to_secret())
            case Step.HAND_OUT:
                await _hand_out(there, ledger, name, ring, records)
            case Step.USE:
                await _take_into_use(there, ledger, name, ring.first(current(records).id))
            case Step.MOVE:
                await _take_into_use(there, ledger, name, ring)
                if name != moving.NAME:
                    return _overlap(name, records)
                await _move(there, ledger, ring)
                return await _retire(there, ledger, name, ring, old(records))
            case Step.DROP:
                return await _drop(there, ledger, name, ring, records)


def _check(name: str, ring: Keyring, records: list[Record]) -> None:
    """The store must have the keys that the database needs; raises KeyringMismatch, NeverStarted."""
    current(records)
    found = mismatches({name: ring}, [Recorded(one.name, one.id, one.state) for one in records])
    if found:
        raise KeyringMismatch("\n".join(found))


async def _hand_out(
    there: Installation, ledger: Ledger, name: str, ring: Keyring, records: list[Record]
) -> None:
    """Let every process know the new key, then record that it is in use."""
    known = current(records).id
    new = next(id for id in ring.ids if id != known)
    await ledger.accept(name, new)
    there.say(f"{name}: handing out the new key {new}")
    behind = True
    while behind:
        await roll(there, ledger, _without(name, lambda ids: new in ids))
        behind = bool(await ledger.make_current(name, new))
    there.note(f"{JOURNAL}.current", f"{name} {new}")


async def _take_into_use(there: Installation, ledger: Ledger, name: str, ring: Keyring) -> None:
    """Let every process seal, hash and sign with the new key."""
    new = ring.current.id
    there.say(f"{name}: taking the key {new} into use")
    there.keep(name, ring.to_secret())
    await roll(there, ledger, _without(name, lambda ids: ids[0] == new))


async def _move(there: Installation, ledger: Ledger, ring: Keyring) -> None:
    there.say(f"{moving.NAME}: sealing what is under the old key anew")
    told = [0]

    def progress(done: int, total: int) -> None:
        if done - told[0] >= max(1000, total // 20) or done == total:
            told[0] = done
            there.say(f"  {done:,} of {total:,} rows")

    await moving.move(ledger, ring, progress)


async def _retire(there: Installation, ledger: Ledger, name: str, ring: Keyring, olds: list[Record]) -> str:
    """Prove that nothing needs the old keys, record it, and take them out of the ring; raises RowsBroken."""
    told = await _proof(ledger, name, Keyring((ring.current,)))
    for record in olds:
        await ledger.retire(name, record.id)
        there.note(f"{JOURNAL}.retired", f"{name} {record.id}")
    there.say(f"{name}: retiring {' and '.join(record.id for record in olds)}")
    await _drop(there, ledger, name, ring, await ledger.records(name))
    return f"{name}: {ring.current.id} is in use, {' and '.join(r.id for r in olds)} is retired; {told}"


async def _proof(ledger: Ledger, name: str, alone_left: Keyring) -> str:
    """See that the key in use suffices, or make it so; tells what was found."""
    if name == moving.NAME:
        found = await moving.examine(ledger, alone_left)
        moving.refuse(found.broken)
        return (
            f"all {found.total:,} encrypted rows open with the new key alone. Older backups need the old key."
        )
    if name != "api_key_pepper":
        return "chats of visitors with older tokens begin anew."
    ended = [0, 0]
    for tenant in await ledger.tenants():
        async with ledger.of_tenant(tenant) as rows:
            keys, sessions = await rows.end_all_not_under(alone_left.current.id)
            ended = [ended[0] + keys, ended[1] + sessions]
    return f"{ended[0]} API keys and {ended[1]} sessions that were not used meanwhile have ended."


async def _drop(there: Installation, ledger: Ledger, name: str, ring: Keyring, records: list[Record]) -> str:
    """Take what is retired out of the ring, and out of the processes."""
    gone = {record.id for record in records if record.state == "retired"}
    left = Keyring(tuple(key for key in ring.keys if key.id not in gone))
    there.keep(name, left.to_secret())
    await roll(there, ledger, _without(name, lambda ids: not gone & set(ids)))
    return f"{name}: {left.current.id} is in use, nothing else is accepted."


def _without(name: str, ready: Callable[[Sequence[str]], bool]) -> Behind:
    """Tell of a process whether it holds keys of a name, and not as it should."""
    return lambda holder: name in holder.rings and not ready(holder.rings[name])


def _overlap(name: str, records: list[Record]) -> str:
    ends = max(end for record in old(records) if (end := overlap_ends(record)))
    return (
        f"{name}: {current(records).id} is in use; the key of before is accepted until {ends:%Y-%m-%d}."
        f" Then run: metachat secrets rotate {name} --retire"
    )
