"""Checks of the keys against their database: each is named, pure, and says the next move."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta

import asyncpg

from metachat.foundation.key_records import Recorded, mismatches
from metachat.operations.findings import Finding
from metachat.operations.keys.installation import Installation
from metachat.operations.keys.looking import Looked, look
from metachat.operations.keys.model import Record, overlap_ends
from metachat.operations.secrets import SecretMissing
from metachat.operations.secrets.known import DAYS

# A rotation that nobody has finished after so long was forgotten.
_FORGOTTEN = timedelta(days=1)
_TOLD = 3


def examine(there: Installation) -> list[Finding]:
    """Look at the keys and run every check; a database that is away is something to tell."""
    try:
        looked = asyncio.run(look(there))
    except (SecretMissing, KeyError):
        return [Finding.good("rows open", "no database is named here, so that none was looked at")]
    except (OSError, asyncpg.PostgresError) as error:
        fix = "See whether it runs; or look at the store alone, with --offline."
        return [Finding.bad("rows open", f"the database was not reached: {type(error).__name__}", fix)]
    return [finding for check in CHECKS for finding in check(looked)]


def keys_are_the_databases(looked: Looked) -> list[Finding]:
    """The store has the keys that the database needs, or nothing starts after the next restart."""
    name = "keys match"
    records = [Recorded(one.name, one.id, one.state) for one in looked.records]
    found = mismatches(looked.rings, records)
    fix = "Restore the keys from the escrow bundle that lists these ids."
    return [Finding.bad(name, told, fix) for told in found] or [
        Finding.good(name, f"{len(looked.rings)} rings are those that the database needs")
    ]


def every_row_opens(looked: Looked) -> list[Finding]:
    """Each encrypted row decrypts in its place."""
    broken = looked.sealed.broken
    if not broken:
        return [Finding.good("rows open", f"all {looked.sealed.total:,} encrypted rows decrypt")]
    shown = "; ".join(map(str, broken[:_TOLD]))
    told = f"{len(broken)} of {looked.sealed.total} do not decrypt: {shown}"
    return [Finding.bad("rows open", told, "Enter these secrets anew, or restore them from a backup.")]


def nothing_is_under_retired_keys(looked: Looked) -> list[Finding]:
    """What is retired may be destroyed: nothing may need it any more."""
    name = "nothing retired in use"
    retired = {record.id for record in looked.records if record.state == "retired"}
    rows = sum(count for id, count in looked.sealed.under.items() if id in retired)
    keys = sum(count for id, count in looked.peppers.items() if id in retired)
    held = [str(one) for one in looked.holders if retired & {id for ids in one.rings.values() for id in ids}]
    if rows or keys:
        told = f"{rows} rows and {keys} API keys are under a retired key"
        return [Finding.bad(name, told, "Put the key back into its ring, and rotate again.")]
    if held:
        return [Finding.bad(name, f"still held by {', '.join(held)}", "Start these processes anew.")]
    return [Finding.good(name, f"{len(retired)} retired keys, and nothing is under them")]


def no_rotation_is_forgotten(looked: Looked) -> list[Finding]:
    """Each rotation that was begun goes on to its end."""
    found = [finding for record in looked.records if (finding := _unfinished(record, looked))]
    return found or [Finding.good("rotations finished", "none waits for its next step")]


def peppers_are_accepted(looked: Looked) -> list[Finding]:
    """Each API key that should work is hashed under a pepper that the store has."""
    name, ring = "peppers in use", looked.rings.get("api_key_pepper")
    if ring is None:
        return []
    lost = sum(count for id, count in looked.peppers.items() if not ring.find(id))
    older = sum(count for id, count in looked.peppers.items() if id in ring.ids[1:])
    if lost:
        fix = "Make new ones in their place, and revoke them."
        return [Finding.bad(name, f"{lost} API keys are hashed under a pepper that is not here", fix)]
    return [Finding.good(name, f"{sum(looked.peppers.values())} API keys, {older} under the one of before")]


def keys_in_use_are_young(looked: Looked) -> list[Finding]:
    """No key is in use for longer than its policy, whatever date the store keeps."""
    found: list[Finding] = []
    for record in looked.records:
        if record.state == "current" and record.current_since:
            days = (looked.now - record.current_since).days
            fix = f"Run: metachat secrets rotate {record.name}"
            told = f"{record.name} {record.id} for {days} days, {DAYS} are allowed"
            found.append(Finding.bad("in use", told, fix) if days > DAYS else Finding.good("in use", told))
    return found


CHECKS: Sequence[Callable[[Looked], list[Finding]]] = (
    keys_are_the_databases, every_row_opens, nothing_is_under_retired_keys, no_rotation_is_forgotten,
    peppers_are_accepted, keys_in_use_are_young,
)  # fmt: skip


def _unfinished(record: Record, looked: Looked) -> Finding | None:
    name, fix = "rotations finished", f"Run: metachat secrets rotate {record.name} --resume"
    ends = overlap_ends(record) if record.state == "old" else None
    if ends is not None and ends + _FORGOTTEN < looked.now:
        fix = fix if record.name == "encryption_key" else fix.replace("--resume", "--retire")
        return Finding.bad(name, f"{record.name}: {record.id} is still accepted", fix)
    if record.state == "accepted" and record.recorded_at + _FORGOTTEN < looked.now:
        return Finding.bad(name, f"{record.name}: {record.id} is handed out, and not in use", fix)
    return None
