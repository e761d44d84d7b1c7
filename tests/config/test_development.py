"""What development bears, and what is wrong there too."""

import pytest
from tests.config.conftest import Judge, accepted

BORNE = {
    "PUBLIC_URL": "http://localhost:8080",
    "CORS_ORIGINS": "*",
    "DEBUG": "true",
    "DATABASE_URL": "postgresql://postgres:postgres@localhost/metachat",
    "REDIS_URL": "redis://localhost",
    "RABBITMQ_URL": "amqp://guest:guest@localhost",
    "SESSION_SECRET": "change-me-change-me-change-me-change-me",
    "API_KEY_PEPPER": "k" * 32,
    "ENCRYPTION_KEY": "k" * 32,
    "GRAPH_URL": "http://graph.internal",
    "ALLOWED_NETWORKS": "0.0.0.0/0",
}

REFUSED = {
    "PUBLIC_URL": "localhost",
    "CORS_ORIGINS": "shop",
    "DEBUG": "maybe",
    "DATABASE_URL": "localhost/metachat",
    "REDIS_URL": "redis://",
    "RABBITMQ_URL": "amqp://guest:guest@localhost:rabbit",
    "SESSION_SECRET": "short",
    "API_KEY_PEPPER": "k" * 31,
    "SMTP_HOST": "smtp://mail",
    "SMTP_PORT": "99999",
    "SMTP_PASSWORD": "without-an-account",
    "GRAPH_URL": "graph",
    "ALLOWED_NETWORKS": "everywhere",
    "EMBEDDER": "openai",
    "SESSION_SECERT": "a-name-that-nobody-knows",
}


@pytest.mark.parametrize("name", BORNE)
def test_development_bears_what_production_refuses(name: str, judge: Judge) -> None:
    values = accepted() | {f"METACHAT_{name}": BORNE[name]}
    assert judge(values).problems == []
    assert judge(values, "--production").names == {f"METACHAT_{name}"}


def test_all_of_it_together_is_refused_by_the_file_s_own_word(judge: Judge) -> None:
    values = {f"METACHAT_{name}": value for name, value in BORNE.items()}
    assert judge(values).problems == []
    verdict = judge(values | {"METACHAT_PRODUCTION": "true"})
    assert verdict.names == set(values)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_malformed_or_unknown_is_wrong_everywhere(name: str, judge: Judge) -> None:
    named = {"SMTP_PASSWORD": {"SMTP_USER"}, "EMBEDDER": {"EMBEDDER_URL", "EMBEDDER_MODEL"}}.get(name, {name})
    verdict = judge({f"METACHAT_{name}": REFUSED[name]})
    assert verdict.names == {f"METACHAT_{one}" for one in named}


def test_nothing_is_missing_since_up_makes_it(judge: Judge) -> None:
    assert judge({}).problems == []
    assert len(judge({}, "--production").problems) == 5
