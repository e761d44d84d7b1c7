"""The shop's words in its three languages."""

import tomllib
from pathlib import Path
from typing import Any

LANGUAGES = {"en": "English", "de": "Deutsch", "hr": "Hrvatski"}

_FOLDER = Path(__file__).parent / "words"

TEXTS: dict[str, dict[str, Any]] = {
    language: tomllib.loads((_FOLDER / f"{language}.toml").read_text(encoding="utf-8"))
    for language in LANGUAGES
}
