"""What lies between a server and the code: found, named, and given its next move."""

from typing import Any

import msgspec
import pytest

from metachat.operations.drift import background, expecting
from metachat.operations.drift.comparing import compare
from metachat.operations.drift.model import (
    Background,
    Declared,
    Finding,
    Item,
    MadeUser,
    Place,
    PlacedFile,
    PlacedLink,
)

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH4Yt3DQZb7qfZHCnkwcVdTZQmGYkZxRv0XLDkqGmNEl ana"
HASH = "a" * 64
RULES = """table inet filter {
\tchain input {
\t\ttype filter hook input priority filter; policy drop;
\t\ttcp dport 22 accept
\t\ttcp dport { 80, 443 } accept
\t}
}
"""
PROXY = {"apps": {"http": {"servers": {"srv0": {"listen": [":443"], "protocols": ["h1", "h2"]}}}}}
BANS = """table inet f2b-table {
\tset addr-set-sshd {
\t\ttype ipv4_addr
\t\telements = { 203.0.113.9 }
\t}
\tchain f2b-chain {
\t\ttcp dport 22 ip saddr @addr-set-sshd reject
\t}
}
"""


def declared() -> Declared:
    """What the steps declare for this server."""
    return Declared(
        files={
            "/etc/caddy/Caddyfile": PlacedFile(step="Caddyfile", hash=HASH, mode="644", owner="root"),
            "/etc/metachat/credentials/pepper": PlacedFile(step="secret", hash="", mode="600", owner="root"),
            "/etc/systemd/system/metachat-worker@.service": PlacedFile(
                step="worker's unit", hash=HASH, mode="644", owner="root"
            ),
        },
        packages={"fail2ban": "base packages"},
        users={"operator": MadeUser(step="operator", shell="/bin/bash", groups=["sudo"], keys=[KEY])},
        running={"caddy.service": "proxy is up", "metachat-worker@1.service": "worker 1"},
        enabled={"caddy.service": "proxy is up", "metachat-worker@1.service": "worker 1"},
    )


def file(**told: object) -> dict[str, Any]:
    """A file as an inventory tells it."""
    plain = {"mode": "644", "owner": "root", "hash": HASH, "package": "", "touched": False,
             "enabled_by_package": False}  # fmt: skip
    return plain | told


def inventory() -> dict[str, Any]:
    """A server on which all is as it should be."""
    unit = {"file": "enabled", "active": "active", "by_package": False, "packaged": True}
    found: dict[str, Any] = {
        "unread": {},
        "files": {
            "/etc/caddy/Caddyfile": file(),
            "/etc/metachat/credentials/pepper": file(hash="", mode="600"),
            "/etc/systemd/system/metachat-worker@.service": file(),
            "/etc/systemd/system/multi-user.target.wants/caddy.service": file(
                hash="", link="/etc/systemd/system/caddy.service"
            ),
            "/etc/apt/sources.list": file(hash="b" * 64),
            "/etc/fail2ban/jail.conf": file(hash="c" * 64, package="fail2ban"),
        },
        "packages": {"installed": ["fail2ban", "openssh-server"], "manual": ["openssh-server"]},
        "users": {
            "root": {"uid": 0, "shell": "/bin/bash", "home": "/root", "password": False},
            "operator": {"uid": 1000, "shell": "/bin/bash", "home": "/home/operator", "password": False},
            "caddy": {"uid": 990, "shell": "/usr/sbin/nologin", "home": "/var/lib/caddy", "password": False},
        },
        "groups": {"sudo": ["operator"]},
        "keys": {"operator": [{"file": "/home/operator/.ssh/authorized_keys", "blob": KEY.split()[1],
                               "name": expecting.fingerprint(KEY), "comment": "ana"}]},
        "units": {"caddy.service": unit, "metachat-worker@1.service": unit,
                  "apt-daily.timer": unit | {"by_package": True}},
        "release": {},
        "rules": RULES + BANS,
        "rules_meant": RULES,
        "sockets": [
            {"protocol": "tcp", "address": "0.0.0.0", "port": 22, "process": "sshd", "unit": "ssh.service"},
            {"protocol": "tcp", "address": "*", "port": 80, "process": "caddy", "unit": "caddy.service"},
            {"protocol": "tcp", "address": "*", "port": 443, "process": "caddy", "unit": "caddy.service"},
        ],
        "proxy": PROXY,
        "proxy_meant": PROXY,
    }  # fmt: skip
    copy: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(found))
    return copy


@pytest.fixture
def known() -> Background:
    """What the server had of its own on its first day."""
    return background.first(inventory(), declared())


PLACE = Place(roles=["proxy"])


def differences(found: dict[str, Any], known: Background) -> list[Finding]:
    """Compare, as a visit does."""
    return compare(found, declared(), PLACE, known)


def only(found: dict[str, Any], known: Background) -> Finding:
    """The one difference."""
    (one,) = differences(found, known)
    return one


def test_a_server_as_it_should_be_has_no_differences(known: Background) -> None:
    assert differences(inventory(), known) == []


def test_the_background_is_what_neither_code_nor_packages_account_for(known: Background) -> None:
    items = {(kind, where) for kind, where, _ in known.facts}
    assert ("file", "/etc/apt/sources.list") in items
    assert ("package", "openssh-server") in items
    assert not {where for _, where in items} & {"/etc/caddy/Caddyfile", "/etc/fail2ban/jail.conf", "operator"}


def test_a_file_of_ours_that_was_edited_is_for_its_own_step(known: Background) -> None:
    found = inventory()
    found["files"]["/etc/caddy/Caddyfile"]["hash"] = "d" * 64
    one = only(found, known)
    assert (one.what, one.where, one.step) == ("file", "/etc/caddy/Caddyfile", "Caddyfile")
    assert one.undo == []


def test_a_file_that_nobody_declared_is_moved_aside_and_its_reader_reads_again(known: Background) -> None:
    found = inventory()
    found["files"]["/etc/ssh/sshd_config.d/00-open.conf"] = file(hash="e" * 64)
    one = only(found, known)
    assert not one.expected
    assert "mv -f /etc/ssh/sshd_config.d/00-open.conf" in one.undo[0]
    assert one.undo[-1] == "sshd -t && systemctl reload ssh"
    assert not any(command.startswith("rm") for command in one.undo)


def test_a_hostile_file_name_is_no_command(known: Background) -> None:
    found = inventory()
    found["files"]["/etc/cron.d/x; reboot"] = file()
    (command, *_) = only(found, known).undo
    assert "'/etc/cron.d/x; reboot'" in command
    assert "mv -f /etc/cron.d/x; reboot" not in command


def test_a_drop_in_for_a_template_starts_its_instances_anew(known: Background) -> None:
    found = inventory()
    found["files"]["/etc/systemd/system/metachat-worker@.service.d/override.conf"] = file()
    assert only(found, known).undo[1:] == [
        "systemctl daemon-reload", "systemctl try-restart 'metachat-worker@*.service'",
    ]  # fmt: skip


def test_a_packages_file_that_was_edited_comes_from_its_package_again(known: Background) -> None:
    found = inventory()
    found["files"]["/etc/fail2ban/jail.conf"]["touched"] = True
    assert any("--reinstall" in command and "fail2ban" in command for command in only(found, known).undo)


def test_a_background_that_changed_is_told_with_what_it_was(known: Background) -> None:
    found = inventory()
    found["files"]["/etc/apt/sources.list"]["hash"] = "f" * 64
    one = only(found, known)
    assert "bbbb" in one.expected
    assert "ffff" in one.found
    assert "--accept" in one.fix


def test_a_stranger_with_a_key_is_locked_and_keeps_their_files(known: Background) -> None:
    found = inventory()
    found["users"]["eve"] = {"uid": 1001, "shell": "/bin/bash", "home": "/home/eve", "password": False}
    row = {"file": "/home/eve/.ssh/authorized_keys", "blob": "AAAA", "name": "SHA256:eve", "comment": ""}
    found["keys"]["eve"] = [row]
    found["groups"]["sudo"].append("eve")
    found_all = {one.what: one for one in differences(found, known)}
    assert found_all.keys() == {"user", "authorised key", "group member"}
    commands = [command for one in found_all.values() for command in one.undo]
    assert any(command.startswith("usermod --lock") for command in commands)
    assert "gpasswd --delete eve sudo" in commands
    assert not any("userdel" in command for command in commands)


def test_a_second_root_is_left_to_a_person(known: Background) -> None:
    found = inventory()
    found["users"]["toor"] = {"uid": 0, "shell": "/bin/bash", "home": "/root", "password": True}
    assert only(found, known).fix.startswith("userdel")


def test_a_strange_key_of_the_operator_is_for_the_operators_step(known: Background) -> None:
    found = inventory()
    found["keys"]["operator"].append(
        {"file": "/home/operator/.ssh/authorized_keys", "blob": "AAAA", "name": "SHA256:x", "comment": ""}
    )
    assert only(found, known).step == "operator"


def test_packages_added_and_removed_are_told_apart(known: Background) -> None:
    found = inventory()
    found["packages"] = {"installed": ["openssh-server", "nmap"], "manual": ["openssh-server", "nmap"]}
    told = {one.where: one for one in differences(found, known)}
    assert not told["nmap"].expected
    assert not told["fail2ban"].found
    assert told["fail2ban"].step == "base packages"


def test_a_rule_in_the_kernel_that_the_file_lacks_is_named_and_bans_are_not(known: Background) -> None:
    found = inventory()
    opened = RULES.replace("\t\ttcp dport 22", "\t\ttcp dport 8080 accept\n\t\ttcp dport 22")
    found["rules"] = opened + BANS
    one = only(found, known)
    assert (one.what, one.where) == ("firewall rule", "inet filter input: tcp dport 8080 accept")
    assert one.undo[0] == "nft -f /etc/nftables.conf"


def test_rules_in_another_order_are_a_difference(known: Background) -> None:
    found = inventory()
    first, second = "\t\ttcp dport 22 accept\n", "\t\ttcp dport { 80, 443 } accept\n"
    found["rules"] = RULES.replace(first + second, second + first)
    assert only(found, known).what == "firewall order"


def test_what_listens_and_should_not_is_named_with_its_process(known: Background) -> None:
    found = inventory()
    found["sockets"].append(
        {"protocol": "tcp", "address": "0.0.0.0", "port": 9999, "process": "nc", "unit": "nc.service"}
    )
    one = only(found, known)
    assert one.where == "tcp *:9999"
    assert "nc of nc.service" in one.found
    assert "systemctl stop nc.service" in one.fix


def test_a_header_taken_from_the_running_proxy_is_named_by_its_path(known: Background) -> None:
    found = inventory()
    del found["proxy"]["apps"]["http"]["servers"]["srv0"]["protocols"]
    paths = {one.where for one in differences(found, known)}
    assert "apps.http.servers.srv0.protocols[0]" in paths


def test_a_unit_of_ours_that_is_down_or_masked_is_named(known: Background) -> None:
    found = inventory()
    found["units"]["metachat-worker@1.service"] |= {"active": "failed", "file": "masked"}
    told = {one.what: one for one in differences(found, known)}
    assert told["state"].found == "failed"
    assert "systemctl unmask metachat-worker@1.service" in told["unit"].undo


def test_what_could_not_be_read_is_a_difference_and_nothing_is_told_missing_of_it(known: Background) -> None:
    found = inventory()
    del found["packages"]
    found["unread"]["packages"] = "OSError: gone"
    one = only(found, known)
    assert (one.what, one.where) == ("inventory", "packages")


def test_what_a_visit_brought_joins_the_background_and_older_strays_do_not(
    known: Background,
) -> None:
    before = inventory()
    before["packages"]["manual"].append("nmap")
    before["packages"]["installed"].append("nmap")
    after = msgspec.json.decode(msgspec.json.encode(before))
    after["users"]["_new"] = {"uid": 1005, "shell": "/bin/sh", "home": "/", "password": False}
    grown = background.grown(known, before, after, declared()).as_facts()
    assert Item("user", "_new") in grown
    assert Item("package", "nmap") not in grown


def test_the_same_server_has_the_same_background_twice(known: Background) -> None:
    assert background.grown(known, inventory(), inventory(), declared()) == known


def test_another_release_is_one_difference_and_not_one_for_each_file(known: Background) -> None:
    current, release = "/opt/metachat/current", "/opt/metachat/releases/2"
    archive = PlacedFile(step="archive", hash=HASH, mode="644", owner="root")
    newer = msgspec.structs.replace(
        declared(),
        files=declared().files | {f"{release}/release.tar": archive},
        links={current: PlacedLink(step="current release", target=release)},
    )
    found = inventory()
    found["files"][current] = file(hash="", link="/opt/metachat/releases/1")
    (one,) = compare(found, newer, PLACE, known)
    assert (one.where, one.step) == (current, "current release")


def test_what_a_visit_itself_changes_is_background_as_it_is_then(known: Background) -> None:
    after = inventory()
    after["files"]["/etc/apt/sources.list"]["mode"] = "640"
    grown = background.grown(known, inventory(), after, declared())
    assert differences(after, grown) == []
    assert differences(after, known) != []


def test_a_folder_that_nobody_looked_at_before_has_no_additions(known: Background) -> None:
    older = msgspec.structs.replace(known, scope=[one for one in known.scope if one != "/etc/cron.d"])
    found = inventory()
    found["files"]["/etc/cron.d/image"] = file()
    assert differences(found, older) == []
    assert len(differences(found, known)) == 1
    grown = background.grown(older, found, found, declared())
    assert differences(found, grown) == []


def test_a_first_day_that_could_not_be_read_is_no_background(known: Background) -> None:
    found = inventory()
    del found["files"]
    found["unread"]["files"] = "OSError: gone"
    with pytest.raises(background.InventoryIncomplete):
        background.first(found, declared())
    assert background.grown(known, inventory(), found, declared()) == known
