"""What is made from the declarations agrees with what is enforced."""

import json
import re
from pathlib import Path

import pytest
from tests.config.conftest import SECRETS, Judge, write

from metachat.cli import config
from metachat.foundation.settings import DECLARED, Settings, variable
from metachat.operations.config.explain import UnknownSetting

ROOT = Path(__file__).parents[2]


def test_every_setting_is_declared_whole() -> None:
    assert set(DECLARED) == set(Settings.__dataclass_fields__)
    for name, declared in DECLARED.items():
        assert declared.sentence.endswith("."), name
        assert all(rule.__doc__ for rule in declared.refused), name
        declared.parse(declared.example)
        if declared.default is not None:
            declared.parse(declared.default)


def test_the_example_is_fit_for_development_and_refused_in_production(judge: Judge, tmp_path: Path) -> None:
    text = (ROOT / ".env.example").read_text()
    # Whoever takes the comment signs away has every setting in it.
    every = re.sub(r"^# (METACHAT_\w+=)", r"\1", text, flags=re.MULTILINE)
    assert {variable(name) for name in DECLARED} == set(re.findall(r"^(METACHAT_\w+)=", every, re.MULTILINE))
    for content in (text, every.replace("METACHAT_PRODUCTION=true", "")):
        file = write(tmp_path / "copied.env", {})
        file.write_text(content)
        assert judge(file, "--process", "api").problems == []
        given = {line.split("=")[0] for line in content.splitlines() if line.startswith("METACHAT_")}
        assert judge(file, "--production").names == given & SECRETS


def test_the_example_of_each_secret_is_refused(judge: Judge) -> None:
    for name, declared in DECLARED.items():
        if declared.secret:
            for example in (declared.example, declared.example.upper()):
                assert variable(name) in judge({variable(name): example}, "--production").names


def test_explain_tells_of_each_setting(capsys: pytest.CaptureFixture[str]) -> None:
    for name, declared in DECLARED.items():
        assert config.run(["explain", name]) == 0
        told = capsys.readouterr().out
        assert config.run(["explain", variable(name)]) == 0
        assert capsys.readouterr().out == told
        for word in (variable(name), declared.sentence, declared.expected, declared.example):
            assert word in told
    with pytest.raises(UnknownSetting, match="Did you mean METACHAT_SESSION_SECRET"):
        config.run(["explain", "METACHAT_SESSON_SECRET"])


def test_the_schema_knows_every_name_and_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert config.run(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["additionalProperties"] is False
    for name, declared in DECLARED.items():
        entry = schema["properties"][variable(name)]
        assert entry["description"] == declared.sentence
        assert entry.get("writeOnly", False) == declared.secret
        assert variable(name) + "_FILE" in schema["properties"]
        if "pattern" in entry:
            assert re.search(entry["pattern"], declared.example), name
    assert len(schema["properties"]) == 2 * len(DECLARED)


def test_the_example_verb_prints_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert config.run(["example"]) == 0
    assert capsys.readouterr().out == (ROOT / ".env.example").read_text()
