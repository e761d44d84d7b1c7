"""What goes wrong at the operator's desk or on the server is told clearly, and how to go on."""

import signal
import subprocess
from pathlib import Path

import pytest
from tests.servers.guests import Fleet, Guest
from tests.servers.sites import Operator


@pytest.fixture(scope="module")
def bare(fleet: Fleet, operator: Operator) -> Guest:
    """A server that nothing was done to."""
    guest = fleet.boot("beta")
    operator.writes_site(guest.address, "beta", "beta.toml")
    return guest


def _provisions(operator: Operator, *options: str, **more: Path) -> "subprocess.CompletedProcess[str]":
    return operator.provisions("--site", "beta.toml", *options, **more)


def _is_bare(guest: Guest) -> bool:
    return guest.ssh("test -e /etc/sudoers.d/60-operator", check=False).returncode != 0


def test_a_server_that_is_not_there(operator: Operator, fleet: Fleet) -> None:
    operator.writes_site(f"{fleet.network}.250", "gone", "gone.toml")
    ran = operator.provisions("--site", "gone.toml")
    assert ran.returncode == 69
    assert "does not answer; nothing was changed" in ran.stderr
    assert "run this again" in ran.stderr


def test_a_key_that_does_not_fit(operator: Operator, bare: Guest) -> None:
    other = operator.folder / "other"
    if not other.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True)
    ran = _provisions(operator, key=other)
    assert ran.returncode == 77
    assert "does not take this SSH key; nothing was changed" in ran.stderr
    assert "--key" in ran.stderr
    assert _is_bare(bare)


@pytest.mark.parametrize("system", ["ID=debian\nVERSION_ID=12\n", "ID=ubuntu\nVERSION_ID=24.04\n"])
def test_another_system(operator: Operator, bare: Guest, system: str) -> None:
    bare.ssh("cp -L /etc/os-release /root/os; rm /etc/os-release; cat > /etc/os-release", stdin=system)
    try:
        ran = _provisions(operator)
    finally:
        bare.ssh("cp /root/os /etc/os-release")
    assert ran.returncode == 65
    assert "another system than Debian 13; nothing was changed" in ran.stderr
    assert system.split()[0].partition("=")[2] in ran.stderr
    assert _is_bare(bare)


def test_a_disk_with_no_room(operator: Operator, bare: Guest) -> None:
    bare.ssh("mount -t tmpfs -o size=40M tmpfs /opt")
    try:
        ran = _provisions(operator)
    finally:
        bare.ssh("umount /opt")
    assert ran.returncode == 69
    assert "/opt has 40 MB left, and 1500 MB are needed" in ran.stderr
    assert _is_bare(bare)


def test_a_mirror_that_is_away(operator: Operator, bare: Guest) -> None:
    bare.ssh("mv /etc/apt/sources.list /root/; cat > /etc/apt/sources.list",
             stdin="deb http://127.0.0.1:9/debian trixie main\n")  # fmt: skip
    try:
        ran = _provisions(operator)
    finally:
        bare.ssh("mv /root/sources.list /etc/apt/")
    assert ran.returncode == 69
    assert "could not fetch packages; run `metachat provision` again" in ran.stderr
    assert "steps were done before it" in ran.stderr


def test_a_wrong_password_for_sudo(operator: Operator, bare: Guest) -> None:
    bare.ssh("apt-get update -qq; apt-get install -y -qq --no-install-recommends sudo", seconds=300)
    bare.ssh("useradd -m -s /bin/bash -G sudo first && echo first:right | chpasswd")
    bare.ssh("install -d -o first -m 700 ~first/.ssh; install -o first ~/.ssh/authorized_keys ~first/.ssh/")
    site = operator.folder / "beta.toml"
    whole = site.read_text()
    site.write_text(whole.replace('# first_user = "root"', 'first_user = "first"'))
    (operator.folder / "wrong").write_text("wrong")
    (operator.folder / "right").write_text("right")
    try:
        asked = _provisions(operator)
        refused = _provisions(operator, "--sudo-password-file", "wrong")
        planned = _provisions(operator, "--plan", "--sudo-password-file", "right")
    finally:
        site.write_text(whole)
    assert (asked.returncode, refused.returncode) == (77, 77)
    assert "sudo asks first for a password" in asked.stderr
    assert "sudo does not take this password" in refused.stderr
    assert planned.returncode == 0, planned.stderr


def test_a_run_that_is_interrupted_goes_on_where_it_was(operator: Operator, bare: Guest) -> None:
    argv = operator.argv("provision", "--site", "beta.toml", "--key", str(operator.key))
    running = subprocess.Popen(
        argv, cwd=operator.folder, env=operator.environment(), stderr=subprocess.PIPE, text=True
    )
    assert running.stderr is not None
    try:
        for line in running.stderr:
            if "base packages" in line:
                break
        beside = _provisions(operator)
        running.send_signal(signal.SIGTERM)
        said = running.stderr.read()
        assert running.wait(timeout=30) == 130
    finally:
        running.kill()
    assert beside.returncode == 65
    assert "under way" in beside.stderr
    assert "Interrupted" in said
    assert "to go on" in said
    planned = _provisions(operator, "--plan")
    # What was done stays done, and what follows from it is not forgotten.
    assert "base packages" not in planned.stdout
    assert "Postgres" in planned.stdout
    assert bare.ssh("test -e /etc/metachat-unfinished", check=False).returncode == 0
