"""What there is to know of one setting."""

import inspect
from collections.abc import Iterator

from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.settings import DECLARED, FILE_SUFFIX, PREFIX, Declared, nearest, variable


class UnknownSetting(Refusal):
    """There is no such setting."""

    code = "unknown_setting"
    kind = Kind.NOT_FOUND


def explain(name: str) -> str:
    """Explain a setting, named with or without METACHAT_; raises UnknownSetting."""
    wanted = name.upper().removeprefix(PREFIX).lower()
    if wanted not in DECLARED:
        near = nearest(PREFIX + wanted.upper())
        raise UnknownSetting(f"Did you mean {near}?" if near else "See them all: metachat config show")
    declared = DECLARED[wanted]
    width = 12
    facts = "\n".join(f"{title:<{width}} {words}" for title, words in _facts(wanted, declared))
    return f"{variable(wanted)}\n{declared.sentence}\n\n{facts}"


def refusals(declared: Declared) -> list[str]:
    """What production refuses of a setting, a sentence each."""
    return [(inspect.getdoc(rule) or "").strip() for rule in declared.refused]


def _facts(name: str, declared: Declared) -> Iterator[tuple[str, str]]:
    yield "Expected", declared.expected + (f" ({declared.unit})" if declared.unit else "")
    yield "Example", declared.example
    yield "Default", declared.default or declared.otherwise or "none"
    yield "Secret", "yes: never shown, best given as a file" if declared.secret else "no"
    yield "Read by", ", ".join(declared.read_by) or "every process"
    if declared.needed_by:
        yield "Needed by", ", ".join(declared.needed_by)
    if declared.needed_in_production_by:
        yield "In production", f"needed by {', '.join(declared.needed_in_production_by)}"
    for sentence in refusals(declared):
        yield "Production", f"refuses: {sentence}"
    yield "As a file", f"{variable(name)}{FILE_SUFFIX}=/path, or `{name}` in $CREDENTIALS_DIRECTORY"
