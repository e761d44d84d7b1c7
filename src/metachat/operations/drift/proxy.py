"""Caddy's configuration, flattened to its leaves, so that a difference can be named."""

from typing import Any

from metachat.operations.drift.model import Item

_LONGEST = 200


def leaves(told: Any) -> dict[Item, str]:
    """Every value by its path; order within a list is part of the path, since Caddy goes by it."""
    facts: dict[Item, str] = {}
    _collect(told, "", facts)
    return facts


def _collect(told: Any, path: str, facts: dict[Item, str]) -> None:
    if isinstance(told, dict) and told:
        for name, inner in told.items():
            _collect(inner, f"{path}.{name}" if path else str(name), facts)
    elif isinstance(told, list) and told:
        for place, inner in enumerate(told):
            _collect(inner, f"{path}[{place}]", facts)
    else:
        facts[Item("proxy setting", path)] = str(told)[:_LONGEST]
