"""What a server is, as it is: read there by root in one go, and printed as JSON.

Runs with Python's standard library alone, since it is sent to servers as a script; changes nothing. A part
that cannot be read is told under "unread", so that it never passes for clean.
"""

import base64
import grp
import hashlib
import http.client
import json
import os
import pwd
import re
import socket
import stat
import subprocess
import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

# What decides who may enter, what starts by itself, what runs with which settings.
WATCHED = (
    "/etc/apt", "/etc/caddy", "/etc/cron.d", "/etc/cron.daily", "/etc/cron.hourly", "/etc/cron.monthly",
    "/etc/cron.weekly", "/etc/cron.yearly", "/etc/crontab", "/etc/fail2ban", "/etc/environment",
    "/etc/ld.so.preload", "/etc/ld.so.conf.d", "/etc/metachat", "/etc/modprobe.d", "/etc/nftables.conf",
    "/etc/nftables.d", "/etc/pam.d", "/etc/postgresql", "/etc/profile.d", "/etc/rc.local", "/etc/security",
    "/etc/ssh", "/etc/sudoers", "/etc/sudoers.d", "/etc/sysctl.conf", "/etc/sysctl.d", "/etc/systemd",
    "/etc/sysusers.d", "/etc/tmpfiles.d", "/etc/udev/rules.d", "/run/systemd/system",
    "/run/systemd/system.control", "/usr/local/bin", "/usr/local/sbin", "/usr/local/lib/systemd",
    "/var/spool/cron/crontabs",
)  # fmt: skip
GROUPS = ("adm", "disk", "docker", "lxd", "root", "shadow", "sudo", "systemd-journal")
EXPECTATION = "/etc/metachat/expected.json"
_SECRETS = "/etc/metachat/credentials/"
_LARGEST = 256 * 1024 * 1024
_CADDY, _CADDYFILE = "/usr/local/bin/caddy", "/etc/caddy/Caddyfile"
_RULES = "/etc/nftables.conf"
_ENABLED_BY_PACKAGES = Path("/var/lib/systemd/deb-systemd-helper-enabled")

# What comes of a file or of nobody's doing is left out: its files are compared themselves.
_POSTGRES = """
SELECT json_build_object(
  'settings', (SELECT coalesce(json_agg(json_build_object('name', name, 'value', current_setting(name),
     'source', source, 'file', coalesce(sourcefile, ''), 'pending', pending_restart)), '[]')
     FROM pg_settings WHERE source NOT IN ('default', 'override', 'client', 'session')
       AND name !~ 'conninfo'),
  'file', (SELECT coalesce(json_agg(json_build_object('name', name, 'value', setting, 'file', sourcefile,
     'applied', applied, 'error', coalesce(error, ''))), '[]')
     FROM pg_file_settings WHERE name !~ 'conninfo'),
  'own', (SELECT coalesce(json_agg(json_build_object('role', coalesce(rolname, ''),
     'database', coalesce(datname, ''), 'setting', setting)), '[]')
     FROM (SELECT setrole, setdatabase, unnest(setconfig) AS setting FROM pg_db_role_setting) s
     LEFT JOIN pg_roles r ON r.oid = setrole LEFT JOIN pg_database d ON d.oid = setdatabase),
  'roles', (SELECT json_object_agg(rolname, concat_ws(' ', CASE WHEN rolcanlogin THEN 'login' END,
     CASE WHEN rolsuper THEN 'superuser' END, CASE WHEN rolcreaterole THEN 'createrole' END,
     CASE WHEN rolcreatedb THEN 'createdb' END, CASE WHEN rolreplication THEN 'replication' END,
     CASE WHEN rolbypassrls THEN 'bypassrls' END,
     (SELECT 'in ' || string_agg(m.roleid::regrole::text, ', ' ORDER BY m.roleid::regrole::text)
        FROM pg_auth_members m WHERE m.member = r.oid)))
     FROM pg_roles r WHERE rolname !~ '^pg_'),
  'databases', (SELECT json_agg(datname ORDER BY datname) FROM pg_database))
"""


def take(also: Iterable[str] = ()) -> dict[str, Any]:
    """Look at everything, at the files named as well, and at what the server's own files would make."""
    return _read({**_looks(also), "rules_meant": rules_meant, "proxy_meant": proxy_meant})


def look(also: Iterable[str] = ()) -> dict[str, Any]:
    """Look at everything, and at the files named as well; needs no right but to read."""
    return _read(_looks(also))


def _looks(also: Iterable[str]) -> dict[str, Callable[[], Any]]:
    return {
        "files": lambda: files(also), "packages": packages, "users": users, "groups": groups, "keys": keys,
        "units": units, "sockets": sockets, "rules": rules, "proxy": proxy, "database": database,
        "release": release, "expectation": expectation,
    }  # fmt: skip


def _read(parts: dict[str, Callable[[], Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {"unread": {}}
    for name, part in parts.items():
        try:
            found[name] = part()
        except (
            OSError,
            ValueError,
            KeyError,
            subprocess.SubprocessError,
            http.client.HTTPException,
        ) as error:
            found["unread"][name] = _reason(error)
    return found


def _reason(error: Exception) -> str:
    told = getattr(error, "stderr", "") or str(error)
    return f"{type(error).__name__}: {str(told).strip()[-300:]}"


def expectation() -> str:
    """What the last provisioning left here to compare with; "" where there was none."""
    return Path(EXPECTATION).read_text() if os.path.exists(EXPECTATION) else ""


def files(also: Iterable[str]) -> dict[str, Any]:
    """Every watched file with its hash, and the package it comes from untouched."""
    owners, pristine = _owned(), _conffiles()
    found = {}
    for path in dict.fromkeys([*_walk(), *(one for one in also if os.path.lexists(one))]):
        about = _about(path)
        package = owners.get(path, "")
        about["package"] = package
        about["touched"] = bool(package) and path in pristine and pristine[path] != _digest(path, "md5")
        about["enabled_by_package"] = _enabled_by_package(path)
        found[path] = about
    return found


def _walk() -> Iterator[str]:
    for top in WATCHED:
        if os.path.islink(top) or os.path.isfile(top):
            yield top
        for folder, folders, names in os.walk(top):
            links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
            yield from (os.path.join(folder, name) for name in sorted([*names, *links]))


def _about(path: str) -> dict[str, Any]:
    state = os.lstat(path)
    about: dict[str, Any] = {"mode": f"{stat.S_IMODE(state.st_mode):o}", "owner": _owner(state), "hash": ""}
    if stat.S_ISLNK(state.st_mode):
        about["link"] = os.readlink(path)
    elif stat.S_ISREG(state.st_mode) and not path.startswith(_SECRETS) and not _is_private_key(path):
        about["hash"] = _digest(path, "sha256") if state.st_size <= _LARGEST else f"{state.st_size} bytes"
    return about


def _is_private_key(path: str) -> bool:
    return path.startswith("/etc/ssh/ssh_host_") and not path.endswith(".pub")


def _owner(state: os.stat_result) -> str:
    try:
        return pwd.getpwuid(state.st_uid).pw_name
    except KeyError:
        return str(state.st_uid)


def _digest(path: str, kind: str) -> str:
    digest = hashlib.new(kind, usedforsecurity=False)
    try:
        with open(path, "rb") as file:
            while piece := file.read(1024 * 1024):
                digest.update(piece)
    except OSError:
        return ""
    return digest.hexdigest()


def _owned() -> dict[str, str]:
    found = {}
    watched = (*WATCHED, "/usr/lib/systemd/system", "/lib/systemd/system")
    for listing in Path("/var/lib/dpkg/info").glob("*.list"):
        package = listing.stem.split(":")[0]
        for line in listing.read_text(errors="replace").splitlines():
            if line.startswith(watched):
                found[line] = package
    return found


def _conffiles() -> dict[str, str]:
    found = {}
    for line in _run("dpkg-query", "-W", "-f", "${Conffiles}\n").splitlines():
        words = line.split()
        if len(words) >= 2 and "obsolete" not in words[2:]:
            found[words[0]] = words[1]
    return found


def _enabled_by_package(path: str) -> bool:
    inside = path.removeprefix("/etc/systemd/system/")
    return inside != path and (_ENABLED_BY_PACKAGES / inside).exists()


def packages() -> dict[str, list[str]]:
    """What is installed, and what of it somebody asked for."""
    rows = _run("dpkg-query", "-W", "-f", "${db:Status-Abbrev}\t${binary:Package}\n").splitlines()
    installed = [row.split("\t")[1].split(":")[0] for row in rows if row.startswith("ii")]
    manual = [name.split(":")[0] for name in _run("apt-mark", "showmanual").split()]
    return {"installed": sorted(set(installed)), "manual": sorted(set(manual))}


def users() -> dict[str, Any]:
    """Every account, and whether a password opens it."""
    shadow = [line.split(":") for line in Path("/etc/shadow").read_text().splitlines()]
    opened = {words[0]: not words[1].startswith(("!", "*")) for words in shadow if len(words) > 1}
    return {
        one.pw_name: {"uid": one.pw_uid, "shell": one.pw_shell, "home": one.pw_dir,
                      "password": opened.get(one.pw_name, False)}
        for one in pwd.getpwall()
    }  # fmt: skip


def groups() -> dict[str, list[str]]:
    """Who is in the groups that may do more than others."""
    members: dict[str, list[str]] = {}
    for group in grp.getgrall():
        if group.gr_name in GROUPS:
            first = [one.pw_name for one in pwd.getpwall() if one.pw_gid == group.gr_gid]
            members[group.gr_name] = sorted({*group.gr_mem, *first})
    return members


def keys() -> dict[str, Any]:
    """The keys that open each account, by fingerprint."""
    found: dict[str, Any] = {}
    for one in pwd.getpwall():
        for name in ("authorized_keys", "authorized_keys2"):
            path = Path(one.pw_dir, ".ssh", name)
            if path.is_file():
                lines = path.read_text(errors="replace").splitlines()
                rows = [_key(str(path), line) for line in lines if line.strip() and not line.startswith("#")]
                found.setdefault(one.pw_name, []).extend(rows)
    return found


def _key(path: str, line: str) -> dict[str, str]:
    match = re.search(r"(?:ssh|ecdsa|sk)-[\w@.-]+ +([A-Za-z0-9+/=]+) *(.*)", line)
    blob = match.group(1) if match else ""
    try:
        digest = hashlib.sha256(base64.b64decode(blob)).digest()
    except ValueError:
        digest = hashlib.sha256(line.encode()).digest()
    name = "SHA256:" + base64.b64encode(digest).decode().rstrip("=")
    return {"file": path, "name": name, "blob": blob, "comment": match.group(2) if match else ""}


def units() -> dict[str, Any]:
    """How each unit stands: whether it starts by itself, and whether it runs."""
    found: dict[str, Any] = {}
    for row in json.loads(_run("systemctl", "list-unit-files", "-o", "json", "--no-pager")):
        name = row["unit_file"]
        by_package = (_ENABLED_BY_PACKAGES / f"{name}.dsh-also").exists()
        found[name] = {"file": row["state"], "active": "", "by_package": by_package}
    for row in json.loads(_run("systemctl", "list-units", "--all", "-o", "json", "--no-pager")):
        about = found.setdefault(row["unit"], {"file": "", "active": "", "by_package": False})
        about["active"] = row["active"]
    instances = sorted(name for name in found if "@" in name and not found[name]["file"])
    if instances:
        # An instance has no file of its own: whether it starts by itself is asked for.
        ran = subprocess.run(["/usr/bin/systemctl", "is-enabled", *instances], capture_output=True, text=True,
                             timeout=30, check=False, env={"LC_ALL": "C"})  # fmt: skip
        for name, state in zip(instances, ran.stdout.split(), strict=False):
            found[name]["file"] = state
    _mark_packaged(found)
    return found


def _mark_packaged(found: dict[str, Any]) -> None:
    owned = _owned()
    for name, about in found.items():
        places = (f"/usr/lib/systemd/system/{name}", f"/lib/systemd/system/{name}")
        about["packaged"] = any(place in owned for place in places)


def sockets() -> list[dict[str, Any]]:
    """What listens, and who does."""
    found = []
    for line in _run("ss", "-Hlntup").splitlines():
        words = line.split(None, 6)
        address, _, port = words[4].rpartition(":")
        process = re.search(r'"([^"]+)",pid=(\d+)', words[6] if len(words) > 6 else "")
        name, unit = (process.group(1), _unit_of(process.group(2))) if process else ("", "")
        found.append({
            "protocol": words[0], "address": address.strip("[]").split("%")[0] or "*", "port": int(port),
            "process": name, "unit": unit,
        })  # fmt: skip
    return found


def _unit_of(process: str) -> str:
    try:
        group = Path("/proc", process, "cgroup").read_text().strip().splitlines()[-1]
    except OSError:
        return ""
    parts = [part for part in group.split("/") if part.endswith((".service", ".scope", ".socket"))]
    return parts[-1] if parts else ""


def rules() -> str:
    """The firewall as the kernel has it."""
    return _run("nft", "-s", "list", "ruleset")


def rules_meant() -> str:
    """The firewall as its file says, in a network of its own: the same words for the same rules."""
    return _run("unshare", "--net", "sh", "-c", f"nft -f {_RULES} && nft -s list ruleset")


def proxy() -> Any:
    """Caddy's running configuration; None where there is no Caddy."""
    if not os.path.exists(_CADDYFILE):
        return None
    listens = re.search(r"^\s*admin unix/(\S+)", Path(_CADDYFILE).read_text(), re.MULTILINE)
    if listens is None:
        raise ValueError("the Caddyfile names no socket for its administration")
    connection = http.client.HTTPConnection("localhost", timeout=10)
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.sock.settimeout(10)
    connection.sock.connect(listens.group(1))
    connection.request("GET", "/config/", headers={"Host": "127.0.0.1"})
    answer = connection.getresponse()
    body = answer.read(16 * 1024 * 1024)
    if answer.status != 200:
        raise ValueError(f"Caddy's administration answers {answer.status}: {body[:200]!r}")
    return json.loads(body)


def proxy_meant() -> Any:
    """Caddy's configuration as its file says; None where there is no Caddy."""
    if not os.path.exists(_CADDYFILE):
        return None
    return json.loads(_run(_CADDY, "adapt", "--config", _CADDYFILE))


def database() -> Any:
    """Postgres's settings, rules and roles; None where there is no Postgres."""
    if not os.path.isdir("/etc/postgresql"):
        return None
    return json.loads(_run("psql", "-XAtq", "-d", "postgres", "-c", _POSTGRES, user="postgres"))


def release() -> dict[str, str]:
    """Files of the current release that are not what its archive brought."""
    current = Path("/opt/metachat/current")
    archive = current / "release.tar"
    if not archive.is_file():
        return {}
    wrong: dict[str, str] = {}
    known: set[str] = set()
    with tarfile.open(archive) as packed:
        for entry in packed:
            path = current / entry.name
            known.add(str(path))
            meant = packed.extractfile(entry)
            if meant is None or not entry.isfile():
                continue
            if not path.is_file() or path.read_bytes() != meant.read():
                wrong[str(path)] = "differs" if path.exists() else "missing"
    package = current / "metachat"
    for path in package.rglob("*"):
        if path.is_file() and str(path) not in known and "__pycache__" not in path.parts:
            wrong[str(path)] = "added"
    return wrong


def _run(*argv: str, user: str | None = None) -> str:
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True, user=user,
                         env=environment, cwd="/", stdin=subprocess.DEVNULL)  # fmt: skip
    return ran.stdout
