"""Broken configurations, each refused under the name of what is wrong with it, and without its secrets."""

import pytest
from tests.config.broken import BROKEN, LONG, Wrong
from tests.config.conftest import SECRETS, Judge, accepted


def broken(changes: dict[str, str | None]) -> dict[str, str]:
    """An accepted configuration with changes; the name of another setting stands for its value."""
    values = accepted()
    for name, value in changes.items():
        if value is None:
            del values[f"METACHAT_{name}"]
        else:
            values[f"METACHAT_{name}"] = values.get(f"METACHAT_{value}", value)
    return values


def test_the_table_is_long_enough() -> None:
    assert len({wrong.story for wrong in BROKEN}) == len(BROKEN) >= 60


def test_what_the_table_breaks_is_accepted_before(judge: Judge) -> None:
    assert judge(accepted(), "--production").problems == []


@pytest.mark.parametrize("wrong", BROKEN, ids=lambda wrong: wrong.story)
def test_a_broken_configuration_names_its_variable(wrong: Wrong, judge: Judge) -> None:
    values = broken(wrong.changes)
    verdict = judge(values, "--production")
    assert verdict.names == {f"METACHAT_{name}" for name in wrong.names}
    assert all(wrong.said in problem["problem"] for problem in verdict.problems), verdict.problems
    assert LONG not in verdict.output
    for name, value in values.items():
        if name in SECRETS and len(value) > 9:
            assert value not in verdict.output, name


def test_ten_problems_of_one_file_come_in_one_run(judge: Judge) -> None:
    values = accepted() | {
        "METACHAT_SESSION_SECRET": "change-me",
        "METACHAT_API_KEY_PEPPER": "k" * 40,
        "METACHAT_ENCRYPTION_KEY": "",
        "METACHAT_PUBLIC_URL": "http://chat.example.com",
        "METACHAT_DATABASE_URL": "postgresql://postgres:postgres@localhost/metachat",
        "METACHAT_REDIS_URL": "redis://localhost",
        "METACHAT_RABBITMQ_URL": "amqp://guest:guest@localhost",
        "METACHAT_CORS_ORIGINS": "*",
        "METACHAT_DEBUG": "yes",
        "METACHAT_SMTP_PORT": "0",
        "METACHAT_REDISURL": "redis://localhost",
    }
    verdict = judge(values, "--production")
    changed = {name for name, value in values.items() if value != accepted().get(name)}
    keys = {"METACHAT_WORKER_DATABASE_URL", "METACHAT_OWNER_DATABASE_URL"}
    assert verdict.names == changed - keys
    assert len(verdict.problems) == 11
    assert verdict.of("METACHAT_REDISURL")["fix"] == "Did you mean METACHAT_REDIS_URL?"
