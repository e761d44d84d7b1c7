"""What the site file may say of alerts, and what is refused before a server is touched."""

from pathlib import Path

import pytest

from metachat.foundation.settings import Secret
from metachat.operations import site as sites
from metachat.operations.monitoring import ports, settings
from metachat.operations.monitoring.receivers import open_one
from metachat.operations.provisioning import furnishing
from metachat.operations.secrets import SecretMissing, open_store, place_of
from metachat.operations.secrets.making import Wanted
from tests.monitoring.far_end import far_end
from tests.monitoring.test_receivers import run

HEAD = """
name = "acme"
domain = "chat.acme.test"
contact = "ops@acme.test"
operators = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH4Yt3DQZb7qfZHCnkwcVdTZQmGYkZxRv0XLDkqGmNEl ops"]
"""
MOST = '"proxy", "app", "worker", "database"'
ALL = f'{MOST}, "monitor"'
SLACK = '[[alerts]]\nname = "on-call"\nkind = "slack"\n'
MAIL = '[[alerts]]\nname = "mail"\nkind = "email"\nto = "ops@acme.test"\n'
SMTP = '[smtp]\nhost = "mail.acme.test"\nuser = "chat"\nsender = "chat@acme.test"\n'


def server(roles: str = ALL, name: str = "alpha") -> str:
    return f'[[servers]]\nname = "{name}"\naddress = "192.0.2.1"\nroles = [{roles}]\n'


def written(folder: Path, *parts: str) -> Path:
    file = folder / "site.toml"
    file.write_text("\n".join([HEAD, *parts]))
    return file


@pytest.mark.parametrize(
    ("parts", "wrong"),
    [
        ((server(),), "nobody hears"),
        ((server(), MAIL), "names no host and sender"),
        ((server(MOST), server('"monitor"', "beta"), SLACK), "reaches nothing"),
        ((server(), server('"app", "monitor"', "beta"), SLACK), "2 servers have the role monitor"),
    ],
)  # fmt: skip
def test_a_monitor_that_would_be_deaf_is_refused(tmp_path: Path, parts: tuple[str, ...], wrong: str) -> None:
    with pytest.raises(sites.SiteFileWrong, match=wrong):
        sites.read(written(tmp_path, *parts))


def test_a_receiver_without_its_secret_is_named_before_a_server_is_touched(tmp_path: Path) -> None:
    told = sites.read(written(tmp_path, server(), SLACK, MAIL, SMTP))
    place = furnishing.place(told, tmp_path, tmp_path / "data")
    wanted = Wanted("", "", tmp_path / "recovery.key")
    planned = furnishing.secrets_for(told, place, "plan", wanted)
    assert {"alert_on_call", "smtp_password"} <= planned.keys(), "a plan takes any value for them"
    for name in ("alert_on_call", "smtp_password"):
        with pytest.raises(SecretMissing, match=name):
            furnishing.secrets_for(told, place, "apply", wanted)
        open_store(place).put(name, Secret(f"https://hooks.example/{name}"))
    open_store(place).put("alert_of_another_site", Secret("https://hooks.example/other"))
    given = furnishing.secrets_for(told, place, "apply", wanted)
    assert given["alert_on_call"] == "https://hooks.example/alert_on_call"
    assert "alert_of_another_site" not in given, "a server gets what it needs"


def test_a_site_without_a_monitor_hands_out_no_receivers(tmp_path: Path) -> None:
    told = sites.read(written(tmp_path, server(MOST), SLACK))
    place = furnishing.place(told, tmp_path, tmp_path / "data")
    given = furnishing.secrets_for(told, place, "apply", Wanted("", "", tmp_path / "recovery.key"))
    assert "alert_on_call" not in given
    assert ports.used(told, told.servers[0]) == []


def test_the_watch_of_a_server_reads_its_receivers_from_its_credentials(tmp_path: Path) -> None:
    told = sites.read(written(tmp_path, server(), SLACK))
    (tmp_path / "alerts.toml").write_text(settings.written(told.alerts))
    (tmp_path / "alert_on_call").write_text("https://hooks.example/hush\n")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path), "METACHAT_SECRETS_STORE": "systemd:"}
    (line,) = settings.of_file(tmp_path / "alerts.toml")
    opened = open_one(line, open_store(place_of(environ)), environ)
    assert (opened.name, opened.kind) == ("on-call", "slack")
    with pytest.raises(settings.AlertsFileWrong):
        settings.of_file(tmp_path / "nowhere.toml")


def test_an_operator_tries_the_receivers_of_a_site_from_their_own_machine(tmp_path: Path) -> None:
    file = written(tmp_path, server(), SLACK)
    told = sites.read(file)
    data = tmp_path / "data"
    place = furnishing.place(told, tmp_path, data)
    with pytest.raises(SecretMissing):  # the store is made, and what others issue is missing
        furnishing.secrets_for(told, place, "apply", Wanted("", "", tmp_path / "recovery.key"))
    missing = run(data, "test", "--site", str(file))
    assert missing.returncode == 1
    assert "metachat secrets set alert_on_call" in missing.stdout
    with far_end() as slack:
        open_store(place).put("alert_on_call", Secret(f"{slack.address}/services/T/B/hush"))
        tried = run(data, "test", "--site", str(file))
        assert (tried.returncode, tried.stdout) == (0, "ok  on-call: 200 ok\n"), tried.stderr
        assert [one.body["text"].partition(":")[0] for one in slack.received] == [
            "[PAGE] chat.acme.test", "[RESOLVED] chat.acme.test",
        ]  # fmt: skip
