"""A configuration that production accepts, and the command that judges it."""

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from metachat.cli import config
from metachat.foundation.settings import DECLARED, variable

SECRETS = {variable(name) for name, declared in DECLARED.items() if declared.secret}


@dataclass(frozen=True)
class Verdict:
    """What `metachat config check --json` said."""

    code: int
    problems: list[dict[str, str]]
    output: str

    @property
    def names(self) -> set[str]:
        """The variables that it complains about."""
        return {problem["name"] for problem in self.problems}

    def of(self, name: str) -> dict[str, str]:
        """The one problem of a variable."""
        [found] = [problem for problem in self.problems if problem["name"] == name]
        return found


def accepted() -> dict[str, str]:
    """A configuration without fault, new at each call."""
    return {
        "METACHAT_PUBLIC_URL": "https://chat.example.com",
        "METACHAT_DATABASE_URL": f"postgresql://metachat_app:{secrets.token_hex(16)}@localhost:5432/metachat",
        "METACHAT_WORKER_DATABASE_URL": f"postgresql://metachat_worker:{secrets.token_hex(16)}@localhost/metachat",
        "METACHAT_OWNER_DATABASE_URL": f"postgresql://metachat_owner:{secrets.token_hex(16)}@localhost/metachat",
        "METACHAT_SESSION_SECRET": secrets.token_urlsafe(32),
        "METACHAT_API_KEY_PEPPER": secrets.token_urlsafe(32),
        "METACHAT_ENCRYPTION_KEY": secrets.token_hex(32),
        "METACHAT_REDIS_URL": f"redis://:{secrets.token_hex(16)}@localhost:6379/0",
        "METACHAT_RABBITMQ_URL": f"amqp://chat:{secrets.token_hex(16)}@localhost:5672/",
        "METACHAT_CORS_ORIGINS": "https://shop.example.com, https://www.example.com:8443",
        "METACHAT_SMTP_HOST": "smtp.example.com",
        "METACHAT_SMTP_PORT": "587",
        "METACHAT_DEBUG": "false",
    }


def write(path: Path, values: Mapping[str, str]) -> Path:
    """Write an env file for its owner only."""
    path.touch(mode=0o600)
    path.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    return path


Judge = Callable[..., Verdict]


@pytest.fixture
def judge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Judge:
    """Judge a configuration by the command, as an env file and nothing around it."""

    def by_file(values: Mapping[str, str] | Path, *options: str) -> Verdict:
        file = values if isinstance(values, Path) else write(tmp_path / "site.env", values)
        capsys.readouterr()
        code = config.run(["check", "--env-file", str(file), "--json", *options])
        told = capsys.readouterr()
        assert told.err == ""
        document = json.loads(told.out)
        assert set(document) == {"problems"}
        for problem in document["problems"]:
            assert set(problem) == {"name", "problem", "expected", "fix"}
            assert all(problem.values()), problem
        assert code == (78 if document["problems"] else 0)
        return Verdict(code, document["problems"], told.out)

    return by_file
