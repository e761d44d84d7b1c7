"""What is written from the code says what the code says."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_files_made_from_the_code_are_the_ones_that_it_makes() -> None:
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "infra" / "make_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = module.files()
    assert {path.name for path in made} >= {"settings.md", "settings.schema.json", ".env.example"}
    for path, content in made.items():
        assert path.read_text() == content, "run `make reference`"
