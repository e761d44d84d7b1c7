r"""Files of NAME=value lines: read with every fault named by its line, and written so that they read back.

    # a comment            export NAME=value      NAME=value # a comment behind two words
    NAME='taken as it is'  NAME="with \" \\ \n and \$"

Nothing is filled in: `${OTHER}` stays as it is written.
"""

import re
from dataclasses import dataclass, field

_ASSIGNMENT = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_.-]*)\s*=\s*(?P<value>.*)")
_DOUBLE = re.compile(r'"(?P<text>(?:[^"\\]|\\.)*)"(?P<rest>.*)')
_SINGLE = re.compile(r"'(?P<text>[^']*)'(?P<rest>.*)")
_COMMENT = re.compile(r"(?:^|\s)#")
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=?&~*!^\[\]-]+")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


@dataclass(frozen=True, slots=True)
class Line:
    """A name with its value, and the number of its line, from 1."""

    number: int
    name: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that cannot be read; `name` is empty when it has none. Never holds the line's text."""

    number: int
    name: str
    problem: str


def read(content: bytes) -> tuple[list[Line], list[BadLine]]:
    """Read a file's lines in their order, and name the bad ones."""
    lines: list[Line] = []
    bad: list[BadLine] = []
    text = content.decode("utf-8-sig", errors="replace")
    # Not splitlines(): a form feed or a line separator inside a value ends no line.
    for number, raw in enumerate(re.split(r"\r\n|\n|\r", text), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        found = _line(number, line)
        (lines if isinstance(found, Line) else bad).append(found)  # type: ignore[arg-type]
    return lines, bad


def write(name: str, value: str) -> str:
    """One line, with quotes where they are needed."""
    if _PLAIN.fullmatch(value) or not value:
        return f"{name}={value}\n"
    if "'" not in value and value.isprintable():
        return f"{name}='{value}'\n"
    for mark, escaped in (("\\", "\\\\"), ('"', '\\"'), ("$", "\\$"), ("\n", "\\n"), ("\r", "\\r")):
        value = value.replace(mark, escaped)
    return f'{name}="{value}"\n'


def _line(number: int, line: str) -> Line | BadLine:
    assignment = _ASSIGNMENT.fullmatch(line)
    if assignment is None:
        return BadLine(number, "", "is no NAME=value")
    name, text = assignment["name"], assignment["value"]
    if "\ufffd" in text or "\0" in text:
        return BadLine(number, name, "is not UTF-8 text")
    if text[:1] not in ('"', "'"):
        comment = _COMMENT.search(text)
        return Line(number, name, text[: comment.start()].rstrip() if comment else text)
    quoted = (_DOUBLE if text[0] == '"' else _SINGLE).fullmatch(text)
    if quoted is None:
        return BadLine(number, name, "has a quote that is not closed on its line")
    if quoted["rest"] and not re.match(r"\s*(#|$)", quoted["rest"]):
        return BadLine(number, name, "goes on behind its closing quote")
    return Line(number, name, _unescaped(quoted["text"]) if text[0] == '"' else quoted["text"])


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), text, flags=re.DOTALL)
