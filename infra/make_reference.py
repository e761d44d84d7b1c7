"""Write docs/reference/ and .env.example from the code (`make reference`)."""

from pathlib import Path

from metachat.operations.config import pages

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs" / "reference"


def files() -> dict[Path, str]:
    """What is made from the code, by where it belongs."""
    return {
        REFERENCE / "settings.md": pages.reference(),
        REFERENCE / "settings.schema.json": pages.schema(),
        ROOT / ".env.example": pages.example(),
    }


def main() -> None:
    """Write the files."""
    REFERENCE.mkdir(parents=True, exist_ok=True)
    for path, content in files().items():
        path.write_text(content)


if __name__ == "__main__":
    main()
