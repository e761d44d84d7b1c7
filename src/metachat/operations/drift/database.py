"""Postgres's settings, access rules and roles as facts: what is in force, and what its files and code say."""

import re
from typing import Any

from metachat.foundation.migrations import SECOND
from metachat.operations.drift.expecting import DATABASE_ROLES, DATABASE_SETTINGS
from metachat.operations.drift.model import Declared, Item

_AUTO = "postgresql.auto.conf"
_MAIN = "/etc/postgresql/17/main/postgresql.conf"
# What Debian's pg_ctlcluster itself gives on the command line.
_OF_DEBIAN = ("config_file", "hba_file", "ident_file", "data_directory", "external_pid_file")
_SIZES = {"B": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}
_TIMES = {"us": 0.001, "ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_WORDS = {"yes": "on", "true": "on", "1": "on", "no": "off", "false": "off", "0": "off"}


def found(told: dict[str, Any], declared: Declared) -> dict[Item, str]:
    """What is in force and comes from elsewhere than from the files that we know, and who may enter."""
    facts: dict[Item, str] = {}
    known = {_MAIN, *declared.files}
    for row in told["settings"]:
        stray = row["source"] == "configuration file" and row["file"] not in known
        given = row["source"] == "command line" and row["name"] not in _OF_DEBIAN
        item = Item("Postgres setting", row["name"])
        if stray or given:
            facts[item] = f"{row['value']} from {row['file'].rsplit('/')[-1] or row['source']}"
        elif row["pending"]:
            facts[item] = f"{row['value']}, another value waits for a restart"
    for row in told["file"]:
        item = Item("Postgres setting", row["name"])
        if row["file"].endswith(_AUTO) and item not in facts:
            facts[item] = f"{row['value']} from {_AUTO}, not in force yet"
        elif row["error"]:
            facts[item] = f"{row['value']} in {row['file']}: {row['error']}"
    facts.update(_not_taken_over(told, facts))
    roles, own = _as_one(told["roles"], told["own"])
    for row in own:
        whose = " ".join(f"{kind} {row[kind]}" for kind in ("role", "database") if row[kind])
        name, _, value = row["setting"].partition("=")
        facts[Item("Postgres setting", f"{name} of {whose}")] = value
    facts.update({Item("Postgres role", name): able for name, able in roles.items()})
    return facts


def _as_one(roles: dict[str, str], own: list[dict[str, Any]]) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """A role's two logins as one: which of them may sign in is the business of its password's rotation."""
    seen = dict(roles)
    for name in (name for name, able in DATABASE_ROLES.items() if able == "login"):
        second = f"{name}{SECOND}"
        if seen.get(second) in (f"login in {name}", f"in {name}"):
            able = seen.pop(second)
            if able.startswith("login") and seen.get(name) == "":
                seen[name] = "login"
            own = [row for row in own if (row["role"], row["setting"]) != (second, f"role={name}")]
    return seen, own


def expected() -> dict[Item, str]:
    """What code says of the database: its roles. Other settings and access rules are files of ours."""
    roles = {Item("Postgres role", name): told for name, told in DATABASE_ROLES.items()}
    return roles | {Item("Postgres setting", name): told for name, told in DATABASE_SETTINGS.items()}


def _not_taken_over(told: dict[str, Any], known: dict[Item, str]) -> dict[Item, str]:
    """Settings whose file says something else than what is in force: edited, loaded, and edited back."""
    live = {row["name"]: row["value"] for row in told["settings"]}
    facts = {}
    for row in told["file"]:
        name, meant = row["name"], row["value"]
        item = Item("Postgres setting", name)
        if row["applied"] and name in live and item not in known and not same(live[name], meant):
            facts[item] = f"{live[name]}, while its file says {meant}"
    return facts


def same(one: str, other: str) -> bool:
    """Whether two spellings of a value mean the same to Postgres."""
    return _plain(one) == _plain(other)


def _plain(value: str) -> object:
    text = value.strip()
    match = re.fullmatch(r"(-?\d+(?:\.\d+)?)\s*([a-zA-Z]+)", text)
    if match:
        number, unit = float(match.group(1)), match.group(2)
        if unit in _SIZES:
            return ("size", number * _SIZES[unit])
        if unit in _TIMES:
            return ("time", number * _TIMES[unit])
    bare = re.sub(r"\s*,\s*", ", ", text.lower())
    return _WORDS.get(bare, bare)
