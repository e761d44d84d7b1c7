"""One value against its declaration."""

from typing import Any

from metachat.foundation.settings.declaration import FILE_SUFFIX, Declared, Mode, Rule, variable
from metachat.foundation.settings.declared import DECLARED
from metachat.foundation.settings.problems import Fault, Problem
from metachat.foundation.settings.sources import Given

_LONGEST_SHOWN = 80
_EXAMPLES = frozenset(declared.example.lower() for declared in DECLARED.values() if declared.secret)


def judge(name: str, given: Given, mode: Mode) -> tuple[Any, list[Problem]]:
    """Read a value, and tell what is wrong with it; the value counts only when nothing is."""
    declared = DECLARED[name]
    # The rules of production come first: "is a placeholder" says more than "is too short".
    faults = _refused(declared, given.text) if mode == "production" else []
    value, fault = _read(declared, given.text)
    if fault and not faults:
        faults = [fault]
    return value, [
        Problem(
            variable(name),
            fault.problem,
            fault.expected or declared.expected,
            fault.fix or _fix(name, declared),
        )
        for fault in faults
    ]


def missing(name: str, given: Given | None) -> Problem:
    """Tell that a process cannot do without it."""
    declared = DECLARED[name]
    fix = f"Set {variable(name)}, for example {declared.example}"
    if declared.secret:
        fix = (
            f"Set it, or {variable(name)}{FILE_SUFFIX} to a file that holds it; `metachat up` makes its own."
        )
    return Problem(variable(name), "is missing" if given is None else "is empty", declared.expected, fix)


def otherwise(declared: Declared) -> Any:
    """What holds when nothing is given."""
    if declared.default is None:
        return None if declared.secret else ""
    return declared.parse(declared.default)


def unread(declared: Declared, text: str) -> Any:
    """What a process holds of a setting that it doesn't read: never a secret, and nothing that is wrong."""
    if declared.secret or not text:
        return otherwise(declared)
    value, fault = _read(declared, text)
    return otherwise(declared) if fault else value


def _refused(declared: Declared, text: str) -> list[Fault]:
    found = [fault for rule in declared.refused if (fault := _broken(rule, text))]
    if not found and declared.secret and text.lower() in _EXAMPLES:
        return [Fault("is the value of the example", "a value of your own")]
    return found


def _broken(rule: Rule, text: str) -> Fault | None:
    try:
        rule(text)
    except Fault as fault:
        return fault
    except ValueError:
        return None  # malformed, which is told by whoever reads it
    return None


def _read(declared: Declared, text: str) -> tuple[Any, Fault | None]:
    try:
        _refuse_trimmings(text)
        return declared.parse(text), None
    except Fault as fault:
        return None, fault
    except ValueError:
        return None, Fault(_not_valid(declared, text))


def _refuse_trimmings(text: str) -> None:
    """Refuse what was meant for a shell or a file: these would silently become part of a key."""
    if text != text.strip():
        raise Fault("begins or ends with a space", fix="Take the space out.")
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        raise Fault("has quotes around it, which would be part of the value", fix="Take the quotes out.")
    if not text.isprintable():
        raise Fault(
            "holds line ends, control characters or odd spaces", fix="Put it on one line, as plain text."
        )


def _not_valid(declared: Declared, text: str) -> str:
    # An address with a name and password in the wrong place is no secret by name, but by what it holds.
    if declared.secret or "@" in text or len(text) > _LONGEST_SHOWN:
        return "its value is not valid"
    return f"{text!r} is not valid"


def _fix(name: str, declared: Declared) -> str:
    return f"{declared.sentence} For example {variable(name)}={declared.example}"
