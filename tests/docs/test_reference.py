"""The reference pages say what the code says."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_settings_page_is_the_one_that_the_code_makes() -> None:
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "infra" / "make_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = (ROOT / "docs" / "reference" / "settings.md").read_text()
    assert written == module.settings_page(), "run `make reference`"
