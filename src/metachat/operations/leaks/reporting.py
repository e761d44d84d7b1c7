"""Findings as JSON and as SARIF, which code hosts read."""

from typing import Any

from metachat.operations.leaks.model import Leak

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def as_json(leaks: list[Leak]) -> dict[str, Any]:
    """The findings for programs."""
    return {
        "findings": [
            {"path": leak.path, "line": leak.line, "commit": leak.commit, "rule": leak.rule,
             "name": leak.name, "fingerprint": leak.fingerprint, "value": "[redacted]"}
            for leak in leaks
        ]
    }  # fmt: skip


def as_sarif(leaks: list[Leak]) -> dict[str, Any]:
    """The findings as a SARIF 2.1.0 log."""
    rules = sorted({leak.rule for leak in leaks})
    driver = {"name": "metachat secrets scan", "rules": [{"id": rule} for rule in rules]}
    return {"$schema": _SCHEMA, "version": "2.1.0",
            "runs": [{"tool": {"driver": driver}, "results": [_result(leak) for leak in leaks]}]}  # fmt: skip


def _result(leak: Leak) -> dict[str, Any]:
    place: dict[str, Any] = {"artifactLocation": {"uri": leak.path}}
    if leak.line:
        place["region"] = {"startLine": leak.line}
    result: dict[str, Any] = {
        "ruleId": leak.rule, "level": "error",
        "message": {"text": f"A secret lies open at {leak.place}."},
        "locations": [{"physicalLocation": place}],
        "partialFingerprints": {"metachat/v1": leak.fingerprint},
    }  # fmt: skip
    if leak.commit:
        result["properties"] = {"commit": leak.commit}
    return result
