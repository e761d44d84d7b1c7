"""From the off-site store and the recovery key to a running site on a bare server.

The steps are told here once: `metachat rebuild` takes them, and the runbook in the safe lists them.
"""

import json
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import msgspec

from metachat.foundation import clock
from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.settings import Secret
from metachat.operations import age, journal
from metachat.operations.backups import answering, keepsakes, restoring, site_file, streams
from metachat.operations.backups.contract import NoBackup, Target
from metachat.operations.backups.manifest import Manifest
from metachat.operations.backups.restoring import Source, Wanted
from metachat.operations.local import keys
from metachat.operations.provisioning import arriving, furnishing, running
from metachat.operations.provisioning.arriving import Door
from metachat.operations.provisioning.order import Told
from metachat.operations.secrets import escrow, open_store
from metachat.operations.secrets.making import Wanted as Making
from metachat.operations.site import Server, Site

VERB = "rebuild"
STATE = "/var/lib/metachat-backup"
RESTORE_SECONDS = 12 * 3600
SMOKE_SECONDS = 180.0


class RebuildFailed(Refusal):
    """The server was not rebuilt; run the same command again to go on."""

    code, kind = "rebuild_failed", Kind.UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Step:
    """A part of the rebuilding: what it does, and what a person without `metachat rebuild` would do."""

    name: str
    sentence: str
    by_hand: str


READ = Step(
    "read", "Find the newest whole backup, and open its small files and its secrets with the recovery key.",
    "metachat restore --to /srv/looked-at --identity RECOVERY-KEY",
)  # fmt: skip
FURNISH = Step(
    "furnish", "Write the site file with the new address, and the site's secrets, into a new folder.",
    "age -d -i RECOVERY-KEY secrets.000001; age -d -i RECOVERY-KEY files.000001 | tar -x",
)  # fmt: skip
PROVISION = Step(
    "provision", "Bring the bare server to the state that the site file describes; nothing is archived yet.",
    f"ssh SERVER 'mkdir -p {STATE} && touch {STATE}/being-rebuilt'; metachat provision",
)  # fmt: skip
HAND_OVER = Step(
    "hand over", "Give the server the installation's own key, which the backup held; the recovery key stays.",
    f"install -o postgres -g postgres -m 600 backup.identity {STATE}/backup.identity",
)  # fmt: skip
RESTORE = Step(
    "restore", "Put database and documents in place from the store, with all of the log, and start the site.",
    "/usr/local/lib/metachat/take-back --backup ID",
)  # fmt: skip
SMOKE = Step(
    "smoke", "See that the site is ready, and ask it for words of a document, which it must cite.",
    "curl -s http://127.0.0.1:8101/health/ready; metachat ask '...' --tenant TENANT",
)  # fmt: skip
STEPS = (READ, FURNISH, PROVISION, HAND_OVER, RESTORE, SMOKE)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is rebuilt from where to where.

    `address` is the bare server's; `folder` takes the site file and the secrets; `data` is of this machine.
    """

    target: Target
    recovery: Secret = field(repr=False)
    address: str
    server: str
    door: Door
    folder: Path
    data: Path
    backup: str = ""


class Phase(msgspec.Struct, frozen=True):
    """A step, and how long it took."""

    name: str
    seconds: float


class Report(msgspec.Struct, frozen=True):
    """How it went; `newest` is the newest sign of life in what came back."""

    backup: str
    release: str
    site: str
    address: str
    newest: str
    segments: int
    answered: str
    seconds: float
    phases: tuple[Phase, ...]


@dataclass(frozen=True, slots=True)
class _Held:
    """What the backup held besides the data."""

    manifest: Manifest
    site: Site
    bundle: escrow.Bundle
    identity: str


class _Clock:
    """Times the steps, and tells each as it begins."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.phases: list[Phase] = []
        self._say = say

    @contextmanager
    def __call__(self, step: Step) -> Iterator[None]:
        began = time.monotonic()
        self._say(f"{step.name}: {step.sentence}")
        yield
        self.phases.append(Phase(step.name, round(time.monotonic() - began, 1)))


def rebuild(asked: Asked, say: Callable[[str], None], told: Callable[[str, Told], None]) -> Report:
    """Rebuild a site on a bare server; the same command again goes on where it stopped.

    Raises RebuildFailed, BackupRefusal, and what provisioning refuses.
    """
    began, timed = time.monotonic(), _Clock(say)
    with journal.recorded(asked.data, VERB, f"{asked.target.address} to {asked.address}"):
        with timed(READ):
            held = _read(asked)
        with timed(FURNISH):
            site, server, secrets = _furnish(asked, held)
        with timed(PROVISION):
            _mark(asked, server)
            means = running.Means(asked.door, secrets, asked.data)
            running.provision(site, [server], "apply", means, told)
        with timed(HAND_OVER):
            _run(asked, server, _TAKE_KEY, held.identity)
        with timed(RESTORE):
            restored = _restore(asked, server, held.manifest.id)
        with timed(SMOKE):
            answered = _smoke(asked, server)
    return Report(
        held.manifest.id, held.manifest.release, site.name, asked.address, str(restored["newest"]),
        int(str(restored["segments"])), answered, round(time.monotonic() - began, 1), tuple(timed.phases),
    )  # fmt: skip


_TAKE_KEY = f"sudo install -o postgres -g postgres -m 600 /dev/stdin {STATE}/backup.identity"


def _read(asked: Asked) -> _Held:
    source = Source(asked.target, asked.recovery)
    of = restoring.choose(source, Wanted(backup=asked.backup)).manifest
    files = keepsakes.contents(streams.load_bytes(of.files, asked.target, asked.recovery))
    lacking = [name for name in ("site.toml", "backup.identity") if name not in files]
    if lacking:
        raise NoBackup(
            f"The backup {of.id} holds no {lacking[0]}: it is of `metachat up`, not of a server.",
            "Restore it with `metachat restore --to FOLDER`, and start it with `metachat up`.",
        )
    bundle = escrow.parse(streams.load_bytes(of.secrets, asked.target, asked.recovery))
    return _Held(of, site_file.parsed(files["site.toml"]), bundle, files["backup.identity"].decode())


def _furnish(asked: Asked, held: _Held) -> tuple[Site, Server, dict[str, str]]:
    names = [one.name for one in held.site.with_role("database")]
    name = asked.server or names[0]
    site = site_file.moved(held.site, name, asked.address)
    asked.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    site_file.keep(site, asked.folder)
    where = furnishing.place(site, asked.folder, asked.data)
    store, making = open_store(where), Making("", age.public(asked.recovery))
    # Made where there is none, with the recovery key as its second reader; then with the values of before.
    furnishing.complete(site, store, asked.data, making)
    for one in held.bundle.secrets:
        store.put(one.name, one.value)
    (server,) = [one for one in site.servers if one.name == name]
    # From the store, not the backup alone: an older one lacks what this version gives its units besides.
    return site, server, furnishing.secrets_for(site, where, "apply", making)


def _mark(asked: Asked, server: Server) -> None:
    """Keep what the bare server is about to be from being taken for the site."""
    user = arriving.arrive(server, asked.door, (server.first_user, server.user)).user
    sudo = "" if user == "root" else "sudo "
    command = f"{sudo}mkdir -p {STATE} && {sudo}touch {STATE}/being-rebuilt"
    done = arriving.ssh(server, asked.door, user, command)
    if done.returncode != 0:
        raise RebuildFailed(f"{server.address}: {done.stderr.strip()}")


def _restore(asked: Asked, server: Server, backup: str) -> dict[str, object]:
    said = _run(
        asked, server, f"sudo /usr/local/lib/metachat/take-back --backup {backup}", "", RESTORE_SECONDS
    )
    return json.loads(said.splitlines()[-1])


def _smoke(asked: Asked, server: Server) -> str:
    """Wait until the site is ready, and ask it."""
    deadline = time.monotonic() + SMOKE_SECONDS
    ready = "curl -sf -m 5 http://127.0.0.1:8101/health/ready"
    while arriving.ssh(server, asked.door, server.user, ready).returncode != 0:
        if time.monotonic() > deadline:
            raise RebuildFailed("The site does not get ready. See: journalctl -u 'metachat-*'")
        time.sleep(1)
    query = f"sudo -u postgres psql -XqAt -F '\t' -d {keys.DATABASE} -f -"
    found = _run(asked, server, query, answering.QUESTION).rstrip("\n")
    if not found:
        return "it is ready; no tenant has a document to ask about"
    tenant, _, text = found.partition("\t")
    command = f"metachat ask {shlex.quote(text)} --tenant {shlex.quote(tenant)} --json"
    citations = json.loads(_run(asked, server, command))["citations"]
    if not citations:
        raise RebuildFailed(f"Asked about {text!r}, it found nothing to cite.")
    return f"asked about {text!r}, it cited {citations[0]['document']!r}"


def _run(asked: Asked, server: Server, command: str, stdin: str = "", seconds: float = 300) -> str:
    done = arriving.ssh(server, asked.door, server.user, command, stdin, seconds)
    if done.returncode != 0:
        raise RebuildFailed(f"{command.split(' ')[0]} on {server.address}: {done.stderr.strip()[-1500:]}")
    return done.stdout


def runbook(site: Site | None, at: datetime | None = None) -> str:
    """The page for the safe: the steps above, with what this site needs filled in where it is given."""
    target = site_file.address(site.backup) if site is not None else "s3:BUCKET/PREFIX?endpoint=https://..."
    name = site.name if site is not None else "SITE"
    readers = ", ".join(site.backup.recipients) if site is not None else "age1..."
    lines = [
        f"# Rebuild {name} from nothing", "",
        *([f"Written {(at or clock.now()):%Y-%m-%d}."] if site is not None else []),
        "You need a bare Debian 13 server that your SSH key opens, the recovery key from the safe, the key",
        "of the store of backups, and any machine with metachat and its extras `servers` and `backups`.", "",
        f"- Backups lie in `{target}`.",
        f"- They open with the private half of: {readers or 'nobody but the lost server!'}", "",
        "```",
        "export METACHAT_BACKUP_ACCESS_KEY=... METACHAT_BACKUP_SECRET_KEY=...",
        f"metachat rebuild --from '{target}' --recovery-key recovery.key --server ADDRESS --into rebuilt",
        "```", "",
        "It takes these steps; run again, it goes on. By hand they are:", "",
    ]  # fmt: skip
    for number, step in enumerate(STEPS, start=1):
        lines += [f"{number}. **{step.name}**: {step.sentence}", f"   `{step.by_hand}`"]
    last = (
        "Then point the domain's DNS at the new server, and make a full backup there: `metachat-backup now`."
    )
    return "\n".join([*lines, "", last, ""])
