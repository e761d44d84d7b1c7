"""Write docs/reference/ from the code: `python infra/make_reference.py` (`make reference`)."""

from pathlib import Path

from metachat.foundation.settings import DECLARED, PREFIX, Declared

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"

HEAD = """# Settings

Made from the code by `make reference`; change the declarations in `foundation/settings/declared.py` instead.

Every setting is an environment variable. `metachat up` keeps secrets in `secrets.env` (mode 600) in the data
folder; the environment wins over it. All problems of a configuration are told at once, and nothing starts.

| variable | meaning | expected | default |
|---|---|---|---|
"""


def settings_page() -> str:
    """The page of all settings."""
    return HEAD + "".join(_row(name, declared) for name, declared in DECLARED.items())


def _row(name: str, declared: Declared) -> str:
    needed = f" Needed by: {', '.join(declared.needed_by)}." if declared.needed_by else ""
    kind = " Secret." if declared.secret else ""
    unit = f" ({declared.unit})" if declared.unit else ""
    default = f"`{declared.default}`" if declared.default else "none"
    meaning = f"{declared.sentence}{needed}{kind}"
    return f"| `{PREFIX}{name.upper()}` | {meaning} | {declared.expected}{unit} | {default} |\n"


def main() -> None:
    """Write the pages."""
    REFERENCE.mkdir(parents=True, exist_ok=True)
    (REFERENCE / "settings.md").write_text(settings_page())


if __name__ == "__main__":
    main()
