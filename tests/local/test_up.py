"""`metachat up` as a user lives with it: start, look, kill, stop, start again."""

import os
import signal
import stat

import psutil
from tests.local.conftest import Up, until


def gone(family: list[psutil.Process]) -> bool:
    return not any(member.is_running() and member.status() != psutil.STATUS_ZOMBIE for member in family)


def test_down_leaves_no_process_and_the_next_up_has_the_data(up: Up) -> None:
    up.starts()
    assert up.run("tenants", "create", "acme").returncode == 0
    family = up.family()
    assert len(family) > 5  # supervisor, api, worker, Postgres and its own

    assert up.run("down").returncode == 0
    assert gone(family)
    assert up.process is not None
    assert up.process.wait(10) == 0
    assert up.run("status").returncode == 69
    assert up.run("down").returncode == 69
    assert not (up.data / "up.json").exists()

    family = up.starts().family()
    assert "with the data of before" in up.said()
    assert "acme" in up.run("tenants", "list").stdout

    assert up.stops(signal.SIGINT) == 0  # Ctrl-C
    assert gone(family)
    assert "nothing is left running" in up.said()
    assert "worker stopped" in (up.data / "logs" / "worker.log").read_text()


def test_status_tells_what_runs(running: Up) -> None:
    told = running.status()
    assert told["running"]
    assert told["healthy"]
    assert told["address"] == f"http://127.0.0.1:{running.port}"
    assert [process["name"] for process in told["processes"]] == ["supervisor", "postgres", "api 1", "worker"]
    assert all(process["rss"] >= process["pss"] > 0 for process in told["processes"])
    assert told["data_bytes"] > 10_000_000
    assert "api 1" in running.run("status").stdout


def test_secrets_are_for_their_owner_only_and_in_no_command_line(running: Up) -> None:
    up = running
    for name in ("secrets.env", "cli.token", "postgres/superuser.password"):
        assert stat.S_IMODE((up.data / name).stat().st_mode) == 0o600, name
    kept = (up.data / "secrets.env").read_text().splitlines()
    lines = [line.partition("=")[2] for line in kept if "=" in line]
    told = "\n".join(" ".join(member.cmdline()) for member in up.family()) + up.said()
    assert len(lines) >= 7
    assert not [line for line in lines if line in told]
    assert stat.S_IMODE(up.data.stat().st_mode) == 0o755


def test_a_killed_child_is_started_again_and_reported(running: Up) -> None:
    up = running
    for name in ("api 1", "worker"):
        killed = up.pid_of(name)
        os.kill(killed, signal.SIGKILL)
        until(lambda name=name, killed=killed: up.named(name).pid not in (None, killed), f"{name} is back")
        assert f"{name} (process {killed}) was ended by SIGKILL" in up.said()
        assert up.named(name).restarts == 1
    until(lambda: up.status()["healthy"], "it is healthy again")


def test_a_killed_database_is_started_again(running: Up) -> None:
    up = running
    killed = up.pid_of("postgres")
    os.kill(killed, signal.SIGKILL)
    until(lambda: up.named("postgres").restarts == 1 and up.status()["healthy"], "the database is back")
    assert f"postgres (process {killed})" in up.said()
    assert up.run("tenants", "list").returncode == 0


def test_a_killed_supervisor_takes_everything_along_and_can_start_again(up: Up) -> None:
    up.starts()
    assert up.run("tenants", "create", "acme").returncode == 0
    family = up.family()
    assert up.stops(signal.SIGKILL) == -signal.SIGKILL
    until(lambda: gone(family), "no orphan is left")
    assert up.run("status").returncode == 69

    up.starts()
    assert "acme" in up.run("tenants", "list").stdout

    server = psutil.Process(up.pid_of("postgres"))
    server.suspend()  # it cannot hear that its supervisor dies
    assert up.stops(signal.SIGKILL) == -signal.SIGKILL
    server.resume()
    up.starts()  # stops what outlived its supervisor
    assert up.named("postgres").pid != server.pid
