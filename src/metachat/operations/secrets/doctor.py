"""Checks of the secrets: each is named, pure, and says the next move."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from metachat.foundation import clock
from metachat.foundation.settings import DECLARED, Mode, Secret
from metachat.operations import journal
from metachat.operations.findings import Finding
from metachat.operations.secrets.contract import Described, StoreRefusal, read_all
from metachat.operations.secrets.known import MADE, NEEDED, faults, known
from metachat.operations.secrets.opening import Place, open_store
from metachat.operations.secrets.stores.age import FEWEST_RECIPIENTS, RECOVERY, AgeStore

ESCROW = "secrets.escrow"


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found of a store, for the checks to judge; recipients is None where there are none."""

    address: str
    mode: Mode
    now: datetime
    refusal: StoreRefusal | None = None
    values: Mapping[str, Secret] = field(default_factory=dict[str, Secret], repr=False)
    described: Mapping[str, Described] = field(default_factory=dict[str, Described])
    modes: Mapping[Path, int] = field(default_factory=dict[Path, int])
    recipients: Mapping[str, str] | None = None
    escrowed_at: datetime | None = None


Check = Callable[[Seen], list[Finding]]


def look(place: Place) -> Seen:
    """Read what the checks judge; a store that refuses is itself something to judge."""
    mode: Mode = "production" if place.production else "development"
    escrowed_at = _escrowed_at(place.data_dir)
    try:
        store = open_store(place)
        values = read_all(store)
        return Seen(
            store.address, mode, clock.now(), None, values,
            {name: store.describe(name) for name in values},
            {path: path.stat().st_mode & 0o777 for path in getattr(store, "private_files", [])},
            store.recipients() if isinstance(store, AgeStore) else None, escrowed_at,
        )  # fmt: skip
    except StoreRefusal as refusal:
        return Seen(place.address or "the data folder's file", mode, clock.now(), refusal)


def examine(seen: Seen) -> list[Finding]:
    """Run every check; behind a store that refuses, there is nothing else to judge."""
    checks = [store_is_reachable] if seen.refusal else CHECKS
    return [finding for check in checks for finding in check(seen)]


def store_is_reachable(seen: Seen) -> list[Finding]:
    """The store answers, lets us in, and is whole."""
    if seen.refusal:
        return [
            Finding.bad("store reachable", f"{seen.refusal.sentence} {seen.refusal.found}", seen.refusal.fix)
        ]
    return [Finding.good("store reachable", f"{seen.address}: {len(seen.values)} secrets")]


def files_are_private(seen: Seen) -> list[Finding]:
    """Nobody else may read what opens the store."""
    return [
        Finding.bad("files private", f"{path} has mode {mode:o}", f"Run: chmod 600 {path}")
        if mode & 0o077
        else Finding.good("files private", f"{path} has mode {mode:o}")
        for path, mode in seen.modes.items()
    ]


def nothing_is_missing(seen: Seen) -> list[Finding]:
    """What an installation cannot do without is there."""
    missing = [name for name in NEEDED if name not in seen.values]
    if missing:
        fix = "Run: metachat secrets generate (--database HOST/NAME makes the addresses of the database)"
        return [Finding.bad("nothing missing", f"{', '.join(missing)} not found", fix)]
    return [Finding.good("nothing missing", f"{len(NEEDED)} are needed, and there")]


def values_are_fit(seen: Seen) -> list[Finding]:
    """No value is under its minimum, a placeholder, or otherwise nothing to start with."""
    found = [
        Finding.bad(
            "values fit",
            f"{name} {fault}",
            f"Run: metachat secrets {'rotate' if name in MADE else 'set'} {name}",
        )
        for name, value in seen.values.items()
        for fault in faults(name, value, seen.mode)
    ]
    return found or [Finding.good("values fit", "every one would be accepted at a start")]


def none_is_shared(seen: Seen) -> list[Finding]:
    """No two secrets have the same value."""
    by_value: dict[str, list[str]] = defaultdict(list)
    for name, value in seen.values.items():
        by_value[value.reveal()].append(name)
    shared = [names for names in by_value.values() if len(names) > 1]
    if not shared:
        return [Finding.good("none shared", "every value is used once")]
    return [
        Finding.bad(
            "none shared",
            f"{' and '.join(names)} have the same value",
            f"Run: metachat secrets rotate {names[-1]}",
        )
        for names in shared
    ]


def recovery_is_possible(seen: Seen) -> list[Finding]:
    """A lost server is not the loss of its secrets."""
    name = "recovery possible"
    if seen.recipients is not None:
        if RECOVERY in seen.recipients and len(seen.recipients) >= FEWEST_RECIPIENTS:
            return [Finding.good(name, f"recipients: {', '.join(sorted(seen.recipients))}")]
        fix = f"Run: metachat secrets recipients add {RECOVERY} age1... with a key that is kept elsewhere"
        return [Finding.bad(name, f"no recipient is labelled {RECOVERY}", fix)]
    if seen.escrowed_at is None:
        return [
            Finding.bad(
                name, "no escrow bundle was made from here", "Run: metachat secrets escrow --out FILE"
            )
        ]
    dates = [one.made_at for one in seen.described.values() if one.made_at]
    if dates and max(dates) > seen.escrowed_at:
        return [
            Finding.bad(
                name, "a secret is newer than the escrow bundle", "Run: metachat secrets escrow --out FILE"
            )
        ]
    return [Finding.good(name, f"escrow bundle of {seen.escrowed_at:%Y-%m-%d}")]


def keys_are_young(seen: Seen) -> list[Finding]:
    """No key is older than its policy; where the store keeps no dates, that is said."""
    found: list[Finding] = []
    policies = known()
    for name, described in seen.described.items():
        if name not in policies:
            continue
        days, limit = _age(described, seen.now), policies[name].days
        if days is not None and days > limit:
            fix = f"Run: metachat secrets rotate {name}"
            found.append(Finding.bad("age", f"{name} is {days} days old, {limit} are allowed", fix))
        else:
            told = "of unknown age: the store keeps no date of it" if days is None else f"{days} days old"
            found.append(Finding.good("age", f"{name} is {told}"))
    return found


def nothing_is_unknown(seen: Seen) -> list[Finding]:
    """Every name is that of a setting: the others do nothing, and may be a misspelt one."""
    strange = [name for name in seen.values if name not in DECLARED]
    return [
        Finding.bad("names known", f"{name} is no setting", f"Run: metachat secrets delete {name}")
        for name in strange
    ] or [Finding.good("names known", "each is that of a setting")]


# Whoever knows more about a secret adds a check here, for instance that every encrypted row decrypts.
CHECKS: list[Check] = [
    store_is_reachable, files_are_private, nothing_is_missing, nothing_is_unknown, values_are_fit,
    none_is_shared, recovery_is_possible, keys_are_young,
]  # fmt: skip


def _age(described: Described, now: datetime) -> int | None:
    return None if described.made_at is None else (now - described.made_at).days


def _escrowed_at(data: Path) -> datetime | None:
    made = [entry.at for entry in journal.entries(data) if entry.what == ESCROW and entry.result == "ok"]
    return datetime.fromisoformat(made[-1]) if made else None
