"""Postgres's own settings against its files and the code."""

from collections.abc import Sequence
from typing import Any

import pytest

from metachat.operations.drift import database
from metachat.operations.drift.model import Declared, Item, PlacedFile
from metachat.operations.drift.undoing import undo

Rows = Sequence[dict[str, Any]]
CONF = "/etc/postgresql/17/main/conf.d/metachat.conf"
DECLARED = Declared(files={CONF: PlacedFile(step="settings", hash="a" * 64, mode="644", owner="root")})


def told(*, settings: Rows = (), file: Rows = (), own: Rows = ()) -> dict[str, Any]:
    """What the database tells; what is left out is as it should be."""
    return {"settings": list(settings), "file": list(file), "own": list(own), "roles": {}}


def setting(
    name: str = "work_mem", value: str = "4MB", file: str = CONF, pending: object = False
) -> dict[str, Any]:
    """A row of pg_settings."""
    return {"name": name, "value": value, "source": "configuration file", "file": file, "pending": pending}


def line(name: str = "work_mem", value: str = "4MB", file: str = CONF) -> dict[str, Any]:
    """A row of pg_file_settings."""
    return {"name": name, "value": value, "file": file, "applied": True, "error": ""}


def test_a_setting_from_our_file_is_as_it_should_be() -> None:
    assert database.found(told(settings=[setting()], file=[line()]), DECLARED) == {}


def test_alter_system_is_named_and_reset() -> None:
    auto = "/var/lib/postgresql/17/main/postgresql.auto.conf"
    facts = database.found(told(settings=[setting(value="64MB", file=auto)]), DECLARED)
    item = Item("Postgres setting", "work_mem")
    assert facts == {item: "64MB from postgresql.auto.conf"}
    way = undo(item, "", facts[item], {})
    assert """'ALTER SYSTEM RESET "work_mem"'""" in way.commands[0]


def test_a_file_that_was_edited_back_after_it_was_loaded_shows() -> None:
    facts = database.found(told(settings=[setting(value="8MB")], file=[line(value="4MB")]), DECLARED)
    assert facts == {Item("Postgres setting", "work_mem"): "8MB, while its file says 4MB"}


def test_a_value_that_waits_for_a_restart_shows() -> None:
    facts = database.found(told(settings=[setting(pending=True)], file=[line()]), DECLARED)
    assert "restart" in facts[Item("Postgres setting", "work_mem")]


def test_settings_of_a_role_are_named_with_it_and_reset() -> None:
    own = [{"role": "metachat_app", "database": "", "setting": "row_security=off"}]
    item = Item("Postgres setting", "row_security of role metachat_app")
    facts = database.found(told(own=own), DECLARED)
    assert facts == {item: "off"}
    (command,) = undo(item, "", "off", {}).commands
    assert 'ALTER ROLE "metachat_app" RESET "row_security"' in command


def test_a_role_that_may_more_than_it_should_loses_that() -> None:
    item = Item("Postgres role", "metachat_app")
    expected = database.expected()[item]
    commands = undo(item, expected, "login superuser in metachat_owner", {}).commands
    assert "NOSUPERUSER" in commands[0]
    assert 'REVOKE "metachat_owner" FROM "metachat_app"' in commands[1]


def test_a_role_nobody_knows_is_shut_out_and_keeps_what_it_owns() -> None:
    way = undo(Item("Postgres role", 'e"ve'), "", "login superuser", {})
    assert 'ALTER ROLE "e""ve" NOLOGIN' in way.commands[0]
    assert not any("DROP" in command for command in way.commands)


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [("1GB", "1024MB", True), ("1s", "1000ms", True), ("on", "true", True), ("a,b", "a, b", True),
     ("1GB", "1000MB", False), ("1s", "1min", False), ("on", "off", False)],
)  # fmt: skip
def test_values_are_compared_by_what_they_mean(one: str, other: str, equal: object) -> None:
    assert database.same(one, other) is equal


def test_a_password_that_was_rotated_is_no_difference() -> None:
    roles = {
        "metachat_app": "", "metachat_app_2": "login in metachat_app",
        "metachat_worker": "login", "metachat_worker_2": "in metachat_worker",
    }  # fmt: skip
    own = [{"role": "metachat_app_2", "database": "", "setting": "role=metachat_app"}]
    facts = database.found({**told(own=own), "roles": roles}, DECLARED)
    assert facts == {Item("Postgres role", name): "login" for name in ("metachat_app", "metachat_worker")}


@pytest.mark.parametrize(
    "roles",
    [
        {"metachat_app": "login", "metachat_app_2": "login superuser in metachat_app"},
        {"metachat_app": "login", "metachat_app_2": "login in metachat_app, metachat_owner"},
        {"metachat_app": "", "metachat_app_2": "in metachat_app"},
        {"metachat_app": "login", "postgres_2": "login in postgres"},
    ],
)
def test_a_second_login_that_may_more_shows(roles: dict[str, str]) -> None:
    facts = database.found({**told(), "roles": roles}, DECLARED)
    assert facts != {Item("Postgres role", "metachat_app"): "login"}
