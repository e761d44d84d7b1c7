"""A server compares itself, between two visits, with what the last provisioning left it to compare with.

Less than a visit from outside sees: who is root can change what is compared with. It needs no way in, so a
timer runs it.
"""

from pathlib import Path

import msgspec

from metachat.foundation.errors import Kind, Refusal
from metachat.operations.drift import inventory, results
from metachat.operations.drift.comparing import compare
from metachat.operations.drift.model import Expectation, Finding


class NothingExpected(Refusal):
    """There is nothing to compare this machine with; `metachat provision` leaves it here."""

    code, kind = "nothing_expected", Kind.NOT_FOUND


def check(data: Path, expected: Path = Path(inventory.EXPECTATION)) -> list[Finding]:
    """Compare this machine; keeps the result in the data folder. Raises NothingExpected."""
    meant = _expectation(expected)
    ours = meant.declared.files.keys() | meant.declared.links.keys()
    found = inventory.look(ours)
    found |= {"rules_meant": meant.rules or None, "proxy_meant": msgspec.json.decode(meant.proxy)}
    findings = compare(found, meant.declared, meant.place, meant.background)
    results.keep(data, meant.server, results.compared(findings))
    return findings


def _expectation(path: Path) -> Expectation:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Expectation)
    except OSError as error:
        raise NothingExpected(f"{path}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise NothingExpected(f"{path}: {error}") from error
