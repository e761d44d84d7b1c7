"""`metachat config`: check, show and explain the configuration, without starting anything.

Parsed with the standard library: it runs before every start and in every build, and typer alone takes longer
than the whole check.
"""

import argparse
import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from metachat.foundation.settings import PROCESSES

Verb = Callable[[argparse.Namespace], int]

_WRONG = 78  # EX_CONFIG
_EXAMPLES = """\
examples:
  metachat config check
  metachat config check --env-file production.env --production --json
  metachat config check --reach --process worker
"""


def run(arguments: list[str]) -> int:
    """Run `metachat config` with what follows it; gives the exit code."""
    verb = _VERBS.get(arguments[0]) if arguments else None
    if verb is None:
        # Prints the list of verbs, or what is wrong with the one given, and ends there.
        _list().parse_args(arguments or ["--help"])
        return 0
    parser = argparse.ArgumentParser(f"metachat config {arguments[0]}", allow_abbrev=False)
    _describe(parser, verb)
    return verb(parser.parse_args(arguments[1:]))


def check(told: argparse.Namespace) -> int:
    """Tell everything that is wrong; exits 78 when something is, 0 otherwise."""
    checking = _operations("check")
    checked = checking.check(told.env_file, told.process, "production" if told.production else None)
    problems = checked.examined.problems
    if told.reach:
        problems = [*problems, *_operations("reach").reach(checked.examined.values, told.process)]
    if told.json:
        print(checking.as_json(problems))
    elif problems:
        print(checking.as_text(problems), file=sys.stderr)
    else:
        print(checking.summary(checked))
    return _WRONG if problems else 0


def show(told: argparse.Namespace) -> int:
    """Print the configuration in effect and where each value comes from; secrets as dots."""
    showing = _operations("show")
    shown = showing.show(told.env_file)
    print(showing.as_json(shown) if told.json else showing.as_text(shown))
    return 0


def explain(told: argparse.Namespace) -> int:
    """Tell all about one setting, named with or without METACHAT_."""
    print(_operations("explain").explain(told.name))
    return 0


def schema(_: argparse.Namespace) -> int:
    """Print the JSON Schema of all settings."""
    print(_operations("pages").schema(), end="")
    return 0


def example(_: argparse.Namespace) -> int:
    """Print a file with all settings, to fill in."""
    print(_operations("pages").example(), end="")
    return 0


def fix_permissions(told: argparse.Namespace) -> int:
    """Make files with secrets readable for their owner only (mode 600)."""
    changed = [str(path) for path in _operations("permissions").fix(told.env_file)]
    if told.json:
        print(json.dumps({"changed": changed}))
    else:
        print("\n".join(f"{path}: mode 600 now" for path in changed) or "All are for their owner only.")
    return 0


def _operations(name: str) -> Any:
    return importlib.import_module(f"metachat.operations.config.{name}")


def _list() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "metachat config", description="Check, show and explain the configuration."
    )
    verbs = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, verb in _VERBS.items():
        verbs.add_parser(name, help=verb.__doc__)
    return parser


def _describe(parser: argparse.ArgumentParser, verb: Verb) -> None:
    parser.description = verb.__doc__
    if verb is explain:
        parser.add_argument("name", help="such as METACHAT_PUBLIC_URL, or public_url")
    if verb in (check, show, fix_permissions):
        parser.add_argument("--env-file", type=Path, help="look at this file and nothing else")
        parser.add_argument("--json", action="store_true", help="print JSON for programs")
    if verb is check:
        parser.formatter_class, parser.epilog = argparse.RawDescriptionHelpFormatter, _EXAMPLES
        parser.add_argument("--production", action="store_true", help="apply the rules of production")
        parser.add_argument("--reach", action="store_true", help="also open each service, 3 s at most")
        parser.add_argument("--process", choices=PROCESSES, help="ask for what this process reads and needs")


_VERBS: dict[str, Verb] = {
    "check": check,
    "show": show,
    "explain": explain,
    "schema": schema,
    "example": example,
    "fix-permissions": fix_permissions,
}
