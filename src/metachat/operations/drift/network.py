"""Firewall and listening sockets as facts."""

import re
from typing import Any

from metachat.operations.drift.model import Item

_TABLE = re.compile(r"^table (\S+ \S+) \{")
_PART = re.compile(r"^\t(chain|set|map|counter|flowtable|ct \w+) (\S+) \{")
_ANYWHERE = ("0.0.0.0", "::", "*")  # noqa: S104 - read, not bound
# Fail2ban makes its table while it runs: who is banned is no drift.
_BANS = "f2b-"
# A process asks for its address from these; nothing answers there.
_ASKING = {("udp", 68), ("udp", 546)}


def rules(text: str) -> dict[Item, str]:
    """The firewall's rules in the kernel's own words, each with its chain; their order is a fact too."""
    facts: dict[Item, str] = {}
    order: dict[str, list[str]] = {}
    for where, line in _lines(text):
        order.setdefault(where, []).append(line)
    for where, lines in order.items():
        for line in lines:
            item = Item("firewall rule", f"{where}: {line}")
            facts[item] = f"{lines.count(line)} times" if lines.count(line) > 1 else "in force"
    return facts


def order_differs(found: str, meant: str) -> list[str]:
    """Chains that have the same rules in another order: the first rule that matches decides."""
    chains: list[dict[str, list[str]]] = []
    for text in (found, meant):
        chains.append({})
        for where, line in _lines(text):
            chains[-1].setdefault(where, []).append(line)
    here, there = chains
    return [
        where
        for where in here.keys() & there.keys()
        if here[where] != there[where] and sorted(here[where]) == sorted(there[where])
    ]


def _lines(text: str) -> list[tuple[str, str]]:
    """Each line with where it stands; what a table's dynamic sets hold for the moment is left out."""
    found: list[tuple[str, str]] = []
    table = part = ""
    dynamic = elements = False
    for line in text.splitlines():
        if match := _TABLE.match(line):
            table, part = match.group(1), ""
        elif match := _PART.match(line):
            part, dynamic = f" {match.group(2)}", False
            found.append((f"{table}{part}", match.group(1)))
        elif line.strip("\t }") and not table.split(" ")[-1].startswith(_BANS):
            dynamic = dynamic or "dynamic" in line or "timeout" in line
            elements = (elements or line.strip().startswith("elements =")) and not line.rstrip().endswith("}")
            if not (dynamic and (elements or line.strip().startswith("elements ="))):
                found.append((f"{table}{part}", line.strip()))
    return [(where, line) for where, line in found if not where.split(" ")[1].startswith(_BANS)]


def sockets(rows: list[dict[str, Any]]) -> dict[Item, str]:
    """Where something listens."""
    facts = {}
    for row in rows:
        protocol, port = row["protocol"], row["port"]
        if (protocol, port) not in _ASKING:
            facts[Item("socket", f"{protocol} {_host(row['address'])}:{port}")] = _by(row)
    return facts


def _host(address: str) -> str:
    return "*" if address in _ANYWHERE else address


def _by(row: dict[str, Any]) -> str:
    unit = f" of {row['unit']}" if row["unit"] else ""
    return f"{row['process']}{unit}" if row["process"] else "open"
