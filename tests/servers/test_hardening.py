"""How hard the server is to misuse, as tools for that measure it."""

import json
import re

from tests.servers.sites import Live, Tell

OWN, DEPENDED_ON = 2.0, 5.0
# Debian's own: how people and the machine's first process get at it, able to do anything.
EXEMPT = re.compile(
    r"(ssh|sshd@|getty@|console-getty|serial-getty@|dbus|emergency|rescue|rc-local|user@|systemd-|apt-|dpkg-|"
    r"e2scrub|fstrim|logrotate|man-db|nftables|polkit|needrestart|ifup|networking|debsums|auditd|acct|"
    r"container-getty)"
)
LYNIS = 80


def test_services_are_confined(live: Live, tell: Tell) -> None:
    rows = json.loads(live.root("systemd-analyze security --no-pager --json=short"))
    found = {row["unit"]: float(row["exposure"]) for row in rows}
    for unit in ("metachat-prepare", "metachat-migrate", "metachat-relieve"):
        shown = live.root(f"systemd-analyze security --no-pager {unit}.service | tail -2")
        found[f"{unit}.service"] = float(re.findall(r"(\d+\.\d)", shown)[-1])
    exempt = sorted(unit for unit in found if EXEMPT.match(unit))
    judged = {unit: exposure for unit, exposure in found.items() if unit not in exempt}
    tell(f"exposure: {dict(sorted(judged.items()))}\nexempt: {', '.join(exempt)}")
    own = {unit: exposure for unit, exposure in judged.items() if unit.startswith("metachat-")}
    assert len(own) >= 6
    assert {"caddy.service", "fail2ban.service", "postgresql@17-main.service"} <= judged.keys()
    assert {unit: one for unit, one in own.items() if one > OWN} == {}
    assert {unit: one for unit, one in judged.items() if one > DEPENDED_ON} == {}


def test_patches_come_by_themselves(live: Live) -> None:
    told = live.root("unattended-upgrade -v 2>&1", seconds=600)
    assert "Allowed origins are" in told
    assert "label=Debian-Security" in told
    assert "ERROR" not in told
    assert 'Automatic-Reboot "true"' in live.root("apt-config dump | grep Automatic-Reboot")


def test_lynis_is_content(live: Live, tell: Tell) -> None:
    live.root("apt-get install -y -qq --no-install-recommends lynis", seconds=300)
    live.root("lynis audit system --quick --no-colors >/dev/null 2>&1 || true", seconds=600)
    left = live.root("grep -E '^(warning|suggestion)' /var/log/lynis-report.dat | cut -d'|' -f1,2")
    index = int(live.root("sed -n s/^hardening_index=//p /var/log/lynis-report.dat"))
    live.root("apt-get purge -y -qq lynis")
    tell(
        f"Lynis: {index} (stock Debian: 59; limit {LYNIS}). In a container these cannot count: kernel"
        " settings and modules, auditd, a mounted /tmp, /home and /var, the boot loader, accounting."
    )
    assert index >= LYNIS, left


def test_nothing_failed(live: Live) -> None:
    assert live.root("systemctl --failed --no-legend --plain").strip() == ""


def test_root_and_passwords_stay_outside(live: Live) -> None:
    assert live.guest.ssh("true", user="root", check=False).returncode == 255
    settings = live.root("sshd -T")
    assert "passwordauthentication no" in settings
    assert "permitrootlogin no" in settings


def test_roles_may_do_what_they_are_for(live: Live) -> None:
    rows = live.root(
        'runuser -u postgres -- psql -Atc "select rolname, rolsuper, rolbypassrls, rolreplication'
        " from pg_roles"
        " where rolname like 'metachat%' order by 1\""
    ).split()
    # A role's second login, which its password's rotation makes, may itself do nothing besides.
    assert {row.partition("|")[2] for row in rows if "_2|" in row} <= {"f|f|f"}
    assert [row for row in rows if "_2|" not in row] == [
        "metachat_app|f|f|f", "metachat_backup|f|f|t", "metachat_monitor|f|f|f", "metachat_owner|f|f|f",
        "metachat_worker|f|f|f",
    ]  # fmt: skip
    peek = 'psql -U metachat_monitor metachat -Atc "select count(*) from tenants" 2>&1 || true'
    assert "permission denied" in live.root(f"runuser -u postgres -- {peek}")


def test_secrets_lie_open_to_nobody(live: Live) -> None:
    assert live.root("stat -c '%a %U' /etc/metachat/credentials").strip() == "700 root"
    arguments = live.root("cat /proc/*/cmdline /proc/*/environ 2>/dev/null | tr '\\0' ' '")
    for name in live.root("ls /etc/metachat/credentials").split():
        assert live.root(f"cat /etc/metachat/credentials/{name}") not in arguments
