"""Asks the person at the terminal, and takes secrets where nobody else can see them."""

import getpass
import sys
from pathlib import Path

import typer

from metachat.foundation.errors import Invalid


class NotToBeAsked(Invalid):
    """Nobody sits at this terminal to be asked."""

    code = "not_to_be_asked"


class FileUnreadable(Invalid):
    """The file cannot be read."""

    code = "file_unreadable"


def asked(question: str, default: str | None = None) -> str:
    """Ask a question; raises NotToBeAsked in a script."""
    if not sys.stdin.isatty():
        raise NotToBeAsked(f"{question}: give it as an option, see --help")
    return typer.prompt(question, default=default, err=True).strip()


def asked_secret(question: str, file: Path | None) -> str:
    """Read a secret from a file, from standard input ("-"), or from a person without showing it.

    Never from an argument, which all processes could read. Raises NotToBeAsked, FileUnreadable.
    """
    if file is None:
        if not sys.stdin.isatty():
            raise NotToBeAsked(f"{question}: give a file, or - for standard input")
        return getpass.getpass(f"{question}: ").strip()
    try:
        return (sys.stdin.read() if str(file) == "-" else file.read_text()).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise FileUnreadable(f"{file}: {type(error).__name__}") from error
