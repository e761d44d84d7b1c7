"""A server is lost under traffic, disk and all; its site comes back on a bare one from its backups."""

import ipaddress
import json
import re
import shlex
import shutil
import subprocess
import tempfile
import threading
import time
from asyncio import to_thread
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.backups.weather import BUCKET, KEY, SECRET, free_port
from tests.conftest import Databases
from tests.servers import guests
from tests.servers.guests import Fleet, Guest
from tests.servers.sites import METACHAT, Live, Operator, Tell

from metachat.foundation import clock
from metachat.foundation.ids import TenantId
from metachat.foundation.settings import Secret
from metachat.operations import age
from metachat.operations.backups.installation import quietly
from metachat.operations.backups.logical import exporting
from metachat.operations.secrets import place_of
from metachat.operations.secrets.stores.file import FileStore

# A network of its own: those of the other stories keep running.
LANE = 4
RPO, RTO = 60.0, 15 * 60.0
TRAFFIC_SECONDS = 110.0


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    """A network for the servers of this story."""
    folder = Path(tempfile.mkdtemp(prefix=guests.folder_prefix(LANE), dir="/var/lib"))
    try:
        with guests.fleet(folder, LANE) as servers:
            yield servers
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Store:
    """Somebody else's store of objects, far from the servers."""

    address: str
    authority: str
    root: Path

    def environment(self) -> dict[str, str]:
        """What whoever rebuilds knows of it."""
        return {"METACHAT_BACKUP_ACCESS_KEY": KEY, "METACHAT_BACKUP_SECRET_KEY": SECRET}

    def source(self, folder: Path) -> str:
        """Where backups lie, with the file of its authority."""
        (folder / "authority.pem").write_text(self.authority)
        return f"s3:{BUCKET}/acme?endpoint={self.address}&ca={folder / 'authority.pem'}"


@pytest.fixture(scope="module")
def store(fleet: Fleet) -> Iterator[Store]:
    """rclone's S3 server with TLS, on this side of the servers' network."""
    host, port, root = f"{fleet.network}.1", free_port(), fleet.folder / "store"
    (root / "data" / BUCKET).mkdir(parents=True)
    certificate = _certificate(host, root)
    argv = [
        str(METACHAT.parent / "rclone"), "serve", "s3", "--addr", f"{host}:{port}",
        "--auth-key", f"{KEY},{SECRET}", "--cert", str(root / "cert.pem"), "--key", str(root / "key.pem"),
        str(root / "data"),
    ]  # fmt: skip
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(
            argv, stdout=log, stderr=log, env={"PATH": "/usr/bin:/bin", "HOME": str(root)}
        )
    try:
        yield Store(f"https://{host}:{port}", certificate, root)
    finally:
        process.kill()
        process.wait()


def _certificate(host: str, folder: Path) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "store")])
    now, where = clock.now(), x509.IPAddress(ipaddress.ip_address(host))
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([where]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(private)
    (folder / "cert.pem").write_bytes(made.public_bytes(pem))
    return made.public_bytes(pem).decode()


@pytest.fixture(scope="module")
def operator(fleet: Fleet) -> Operator:
    """The person who runs the site."""
    home = fleet.folder / "operator"
    home.mkdir()
    return Operator(home, fleet.key)


@pytest.fixture(scope="module")
def lost(fleet: Fleet, operator: Operator, store: Store) -> Live:
    """A site with backups, whose server will be lost."""
    guest = fleet.boot("lost")
    operator.writes_site(guest.address, "lost")
    secrets = {"METACHAT_SECRETS_STORE": f"age:{operator.folder / 'secrets.age'}"}
    ran = operator.metachat("secrets", "generate", "--recovery-file", "recovery.key", **secrets)
    assert ran.returncode == 0, ran.stderr
    for name, value in (("backup_access_key", KEY), ("backup_secret_key", SECRET)):
        ran = subprocess.run(
            operator.argv("secrets", "set", name), cwd=operator.folder, input=value, text=True, timeout=60,
            capture_output=True, env=operator.environment(**secrets), check=False,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
    recovery = (operator.folder / "recovery.key").read_text().splitlines()
    reader = next(line.split()[-1] for line in recovery if "public key" in line)
    section = {"target": f"s3:{BUCKET}/acme", "endpoint": store.address, "ca": store.authority}
    words = "".join(f"{name} = {json.dumps(value)}\n" for name, value in section.items())
    site = operator.folder / "site.toml"
    site.write_text(f"{site.read_text()}\n[backup]\n{words}recipients = [{json.dumps(reader)}]\n")
    ran = operator.provisions()
    assert ran.returncode == 0, ran.stderr
    authority = fleet.folder / "authority.crt"
    live = Live(guest, operator, 0, authority)
    authority.write_text(live.root("cat /var/lib/caddy/pki/authorities/local/root.crt"))
    live.opens_chat()
    return live


@dataclass
class Traffic:
    """Customers who write all the time; when each message was acknowledged."""

    live: Live
    acknowledged: dict[str, float] = field(default_factory=dict)
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        number = 0
        while not self.ended.is_set():
            try:
                visitor = self.live.begins_chat()
                for _ in range(4):
                    text, number = f"message {number:06d}", number + 1
                    if self.live.says(visitor, text, 5) == 202:
                        self.acknowledged[text] = time.monotonic()
                    self.ended.wait(0.25)
            except (OSError, AssertionError):
                self.ended.wait(0.25)


def _metachat_backup(live: Live, *words: str, seconds: float = 300) -> str:
    return live.root(f"metachat-backup {' '.join(words)}", seconds)


def test_the_units_run_and_are_confined(lost: Live, tell: Tell) -> None:
    assert lost.root("systemctl is-active metachat-archive.service").strip() == "active"
    timers = lost.root("systemctl list-timers --all --no-legend")
    for verb in ("now", "prune", "verify", "drill"):
        assert f"metachat-backup-{verb}.timer" in timers
    for unit in ("metachat-archive.service", "metachat-backup@now.service"):
        said = lost.root(f"systemd-analyze security --no-pager {unit} | tail -1")
        exposure = float(said.split("level for")[1].split(":")[1].split()[0])
        tell(f"{unit}: exposure {exposure}")
        assert exposure <= 2.0
    ran = lost.operator.provisions()
    assert "0 changes" in ran.stdout, ran.stdout


def test_timers_make_backups_that_a_drill_proves(lost: Live, tell: Tell) -> None:
    lost.root("systemctl start metachat-backup@now.service", 300)
    status = json.loads(_metachat_backup(lost, "list", "--json"))
    assert len(status) == 1
    assert status[0]["postgres"] == 17
    lost.root("systemctl start metachat-backup@verify.service", 300)
    deadline = time.monotonic() + 90
    while "canary_at" not in (told := lost.root("cat /var/lib/metachat/backups/state.json")):
        assert time.monotonic() < deadline, told
        time.sleep(1)
    began = time.monotonic()
    lost.root("systemctl start metachat-backup@drill.service || true", 900)
    told = json.loads(lost.root("cat /var/lib/metachat-backup/backups/state.json"))
    said = lost.root("journalctl -u metachat-backup@drill.service -o cat --no-pager | tail -30")
    assert told["drill_verdict"] == "passed", said
    tell(f"drill on the server: {time.monotonic() - began:.0f} s\n{said}")
    assert "every index holds all rows (amcheck)" in said


def test_a_lost_server_comes_back_on_a_bare_one(
    lost: Live, fleet: Fleet, operator: Operator, store: Store, tell: Tell
) -> None:
    traffic = Traffic(lost)
    customers = threading.Thread(target=traffic.run, daemon=True)
    customers.start()
    time.sleep(TRAFFIC_SECONDS)  # the story needs messages that are older than the promise
    bare = fleet.boot("bare")
    lost_at = time.monotonic()
    lost.guest.destroy()
    fleet.guests.remove(lost.guest)
    traffic.ended.set()
    customers.join(30)
    assert len(traffic.acknowledged) > 100

    # Somebody else's machine: the recovery key from the safe, an SSH key, and the store's key.
    stranger = Operator(fleet.folder / "stranger", fleet.key)
    stranger.folder.mkdir()
    shutil.copy(operator.folder / "recovery.key", stranger.folder)
    began = time.monotonic()
    ran = stranger.metachat(
        "rebuild", "--from", store.source(stranger.folder), "--recovery-key", "recovery.key",
        "--server", bare.address, "--key", str(fleet.key), "--json", seconds=RTO + 300, **store.environment(),
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-4000:]
    seconds, report = time.monotonic() - began, json.loads(ran.stdout)
    there = _messages(bare)
    due = {text for text, at in traffic.acknowledged.items() if at < lost_at - RPO}
    missing = sorted(set(traffic.acknowledged) - there)
    tell(
        f"rebuilt in {seconds:.0f} s {report['phases']}; {len(traffic.acknowledged)} messages acknowledged,"
        f" {len(missing)} of them lost, {len(due - there)} of {len(due)} that were older than {RPO:.0f} s;"
        f" {report['answered']}"
    )
    assert due <= there
    assert seconds <= RTO
    assert "it cited" in report["answered"]
    _serves(bare, stranger, lost, fleet)


def _messages(guest: Guest) -> set[str]:
    query = "SELECT text FROM messages WHERE author = 'customer'"
    return set(_as_root(guest, "runuser -u postgres -- psql -XqAt -d metachat -f -", query).splitlines())


def _as_root(guest: Guest, command: str, stdin: str = "") -> str:
    """Run a command on a server that lets in nobody but its operator."""
    return guest.ssh(f"sudo sh -c {shlex.quote(f'cd / && {command}')}", user="operator", stdin=stdin).stdout


def _serves(bare: Guest, stranger: Operator, lost: Live, fleet: Fleet) -> None:
    """Customers write to it, its log is archived again, and the stranger's site file describes it."""
    authority = fleet.folder / "authority-2.crt"
    authority.write_text(_as_root(bare, "cat /var/lib/caddy/pki/authorities/local/root.crt"))
    again = Live(bare, stranger, 0, authority, channel=lost.channel)
    assert "Zagreb" in json.dumps(again.answer_to("Where do return parcels go?"))
    assert again.root("systemctl is-active metachat-archive.service").strip() == "active"
    ran = stranger.metachat("provision", "--plan", "--site", "rebuilt/site.toml", "--key", str(fleet.key))
    assert ran.returncode == 0, ran.stderr
    assert "0 changes" in ran.stdout, ran.stdout
    made = json.loads(again.root("metachat-backup now --json"))
    assert made["documents"] == 1


CHUNKS = """
INSERT INTO chunks (tenant_id, document_id, position, text, language, embedding, lexemes)
SELECT $1, $1, i, 'chunk č ' || i, 'en',
       (SELECT array_agg(sin(i * 384 + j)::real) FROM generate_series(1, 384) j)::vector::halfvec,
       to_tsvector('simple', 'chunk č ' || i)
  FROM generate_series(1, 2000) i
"""
SUM = """
SELECT count(*) || ' ' || md5(string_agg(concat(text, embedding, lexemes), '|' ORDER BY position)) FROM chunks
"""


async def test_what_runs_on_the_embedded_postgres_moves_to_the_servers_own(
    lost: Live, fleet: Fleet, databases: Databases, tenant: TenantId, stranger: TenantId, tmp_path: Path
) -> None:
    """From 18 to 17, by the way that is told to operators; vectors, too."""
    connection = await asyncpg.connect(databases.superuser)
    await connection.execute("SET session_replication_role = 'replica'")
    await connection.execute(CHUNKS, tenant)
    expected = await connection.fetchval(SUM)
    await connection.close()
    FileStore(tmp_path / "secrets.env").put("encryption_key", Secret("k" * 43))
    identity = age.new_identity()
    source = exporting.From(databases.superuser, place_of({"METACHAT_DATA_DIR": str(tmp_path)}), tmp_path)
    tail = await to_thread(exporting.export, source, tmp_path / "all", [age.public(identity)], quietly)
    guest = fleet.guests[-1]  # the rebuilt one, or where this story is told alone, the one that is not lost
    await to_thread(_imports, guest, tmp_path / "all", identity.reveal())
    assert tail.tables["tenants"].rows == 2
    found = _as_root(guest, "runuser -u postgres -- psql -XqAt -d metachat -f -", SUM).strip()
    assert found == expected
    assert found.startswith("2000 ")
    assert _as_root(guest, "find /var/lib/metachat ! -user metachat -name 'journal*'").strip() == ""
    _as_root(guest, READY)


# As the site was on the day it was provisioned: nobody has used it, and it runs.
NEW_DATABASE = """
systemctl stop 'metachat-api@*' 'metachat-worker@*' metachat-archive
runuser -u postgres -- dropdb --force metachat
systemctl start metachat-prepare
systemctl start metachat-migrate
systemctl start metachat-api@01 metachat-api@02 metachat-worker@1
"""
READY = "timeout 90 sh -c 'until curl -sf -m 5 http://127.0.0.1:8101/health/ready; do sleep 0.5; done'"


def _imports(guest: Guest, export: Path, identity: str) -> None:
    """Do on the server what the manual says, word for word."""
    home = guest.root / "home/operator"
    (home / "all.export").write_bytes(export.read_bytes())
    (home / "recovery.key").write_text(identity)
    (home / "recovery.key").chmod(0o600)
    _as_root(guest, f"set -e; {NEW_DATABASE}")
    _as_root(guest, READY)
    told = (Path(__file__).parents[2] / "docs/backups.md").read_text()
    (commands,) = re.findall(r"before anybody uses it:\n\n```\n(.*?)```", told, re.DOTALL)
    assert "data import" in commands
    guest.ssh(f"set -e\n{commands}", user="operator", seconds=300)
