"""What is written from the declarations: the example file, the reference page and the JSON Schema."""

import json
from collections.abc import Iterator
from typing import Any

from metachat.foundation.settings import DECLARED, FILE_SUFFIX, PREFIX, Declared, variable
from metachat.operations.config.explain import refusals

_EXAMPLE_HEAD = """\
# Every setting of metachat, made from the code by `make reference`.
#
# `make run` and `metachat up` need none of this: they make their own secrets. To run `metachat api` and
# `metachat worker` on servers of your own, copy this file, put in values, make it yours (chmod 600) and ask:
#     metachat config check --env-file FILE --production
# A value may lie in a file of its own instead: METACHAT_X_FILE=/path/to/it.
"""

_REFERENCE_HEAD = f"""\
# Settings

Made from the code by `make reference`; change the declarations in `foundation/settings/declared.py` instead.
A program finds the same in [settings.schema.json](settings.schema.json), a file to fill in is `.env.example`.

A value is taken from the first of these that has one: the environment; the file that `{PREFIX}X{FILE_SUFFIX}`
names; the file `x` in `$CREDENTIALS_DIRECTORY` (systemd); `secrets.env` in the data folder. An empty value is
none. All problems of a configuration are told at once, and nothing starts. `metachat config explain NAME`
tells of one setting.

| variable | meaning | expected | default | production refuses |
|---|---|---|---|---|
"""


def example() -> str:
    """The file `.env.example`."""
    return _EXAMPLE_HEAD + "".join(f"\n{_entry(name, declared)}" for name, declared in DECLARED.items())


def reference() -> str:
    """The page of all settings."""
    return _REFERENCE_HEAD + "".join(_row(name, declared) for name, declared in DECLARED.items())


def schema() -> str:
    """The JSON Schema of an environment for metachat; other variables may stand in it too."""
    properties = dict[str, Any]()
    for name, declared in DECLARED.items():
        properties[variable(name)] = _property(declared)
        properties[variable(name) + FILE_SUFFIX] = {
            "description": f"A file that holds {variable(name)}.",
            "type": "string",
        }
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Settings of metachat",
        "type": "object",
        "properties": properties,
        "patternProperties": {f"^(?!{PREFIX})": True},
        "additionalProperties": False,
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _entry(name: str, declared: Declared) -> str:
    # What somebody must put in stands open; the rest holds without.
    needed = declared.needed_by or declared.needed_in_production_by
    facts = "; ".join(_facts(declared))
    quoted = f"'{declared.example}'" if " " in declared.example else declared.example
    return f"# {declared.sentence}\n# {facts}\n{'' if needed else '# '}{variable(name)}={quoted}\n"


def _facts(declared: Declared) -> Iterator[str]:
    yield f"Expected: {declared.expected}" + (f" ({declared.unit})" if declared.unit else "")
    if declared.needed_by or declared.needed_in_production_by:
        yield f"needed by: {', '.join(declared.needed_by or declared.needed_in_production_by)}"
    elif declared.default or declared.otherwise:
        yield f"otherwise: {declared.default or declared.otherwise}"
    if declared.secret:
        yield "secret"


def _row(name: str, declared: Declared) -> str:
    needed = f" Needed by: {', '.join(declared.needed_by)}." if declared.needed_by else ""
    if declared.needed_in_production_by:
        needed += f" In production needed by: {', '.join(declared.needed_in_production_by)}."
    readers = f" Read by: {', '.join(declared.read_by)}." if declared.read_by else ""
    unit = f" ({declared.unit})" if declared.unit else ""
    default = f"`{declared.default}`" if declared.default else declared.otherwise or "none"
    meaning = f"{declared.sentence}{readers}{needed}{' Secret.' if declared.secret else ''}"
    refused = " ".join(refusals(declared))
    return f"| `{variable(name)}` | {meaning} | {declared.expected}{unit} | {default} | {refused} |\n"


def _property(declared: Declared) -> dict[str, Any]:
    described: dict[str, Any] = {"description": declared.sentence, **declared.form.schema}
    if declared.default:
        described["default"] = declared.default
    if declared.secret:
        described["writeOnly"] = True
    else:
        described["examples"] = [declared.example]
    return described
