"""No program that we start is given the environment that our secrets may lie in."""

import ast
from pathlib import Path

import pytest

import metachat
from metachat.foundation.settings.clean import without_secrets

SOURCES = sorted(Path(metachat.__file__).parent.rglob("*.py"))
STARTS = {"run", "Popen", "check_output", "check_call", "call", "create_subprocess_exec"}


def starts(path: Path) -> list[ast.Call]:
    """The calls in a module that start a program."""
    text = path.read_text()
    if "subprocess" not in text:  # whoever starts a program names it, and most need not be parsed
        return []
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    return [
        call
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in STARTS
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id in ("subprocess", "asyncio")
        and (call.func.value.id, call.func.attr) != ("asyncio", "run")
    ]


def test_the_starts_are_found() -> None:
    assert sum(len(starts(path)) for path in SOURCES) >= 8


@pytest.mark.parametrize("path", [path for path in SOURCES if starts(path)], ids=lambda path: path.stem)
def test_each_start_says_with_which_environment(path: Path) -> None:
    without = [
        call.lineno for call in starts(path) if "env" not in {keyword.arg for keyword in call.keywords}
    ]
    assert without == [], f"{path}: give env=, for instance without_secrets()"


def test_secrets_are_left_out_and_the_rest_stays() -> None:
    environ = {
        "METACHAT_DATABASE_URL": "postgresql://a:b@c/d", "METACHAT_SESSION_SECRET": "s" * 43,
        "METACHAT_PORT": "8080", "METACHAT_SESSION_SECRET_FILE": "/run/s", "PATH": "/bin",
    }  # fmt: skip
    assert without_secrets(environ) == {
        "METACHAT_PORT": "8080", "METACHAT_SESSION_SECRET_FILE": "/run/s", "PATH": "/bin",
    }  # fmt: skip
