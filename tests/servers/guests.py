"""Throwaway Debian servers with systemd: containers on a network of their own, reached by SSH only.

Made for root on a plain Debian machine, whose own first process need not be systemd. Whatever is set up
(a bridge, a firewall table, mounts, control groups) is undone at the end, also after a failure.
"""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

CACHE = Path(os.environ.get("METACHAT_TEST_CACHE") or "/var/cache/metachat-tests")
SUITE = "trixie"
PACKAGES = "systemd-sysv,dbus,openssh-server,iproute2,python3,ca-certificates"
BRIDGE = "mc-tests"
NETWORK = "10.213.77"
TABLE = "metachat_tests"
_CONTROLLERS = ("systemd", "unified")
_NEEDED = ("systemd-nspawn", "debootstrap", "nft", "ssh", "ssh-keygen", "ip", "mount")


class GuestFailed(RuntimeError):
    """A throwaway server did not do what every server does."""


def missing() -> str | None:
    """Tell why no throwaway server can run here; None when it can."""
    if os.geteuid() != 0:
        return "throwaway servers need root"
    absent = [name for name in _NEEDED if shutil.which(name) is None]
    if absent:
        install = "apt-get install systemd-container debootstrap nftables openssh-client"
        return f"throwaway servers need {', '.join(absent)} ({install})"
    if not all(Path("/sys/fs/cgroup", name).is_dir() for name in _CONTROLLERS):
        return "throwaway servers need control groups in hybrid mode under /sys/fs/cgroup"
    if "overlay" not in Path("/proc/filesystems").read_text():
        return "throwaway servers need the overlay file system"
    return None


def mirror() -> str:
    """The package mirror that this machine itself uses."""
    folder = Path("/etc/apt/sources.list.d")
    for file in (Path("/etc/apt/sources.list"), *folder.glob("*.sources"), *folder.glob("*.list")):
        if not file.is_file():
            continue
        for line in file.read_text().splitlines():
            words = line.split()
            if line.startswith(("deb ", "URIs:")) and "security" not in line:
                return next(word for word in words if word.startswith(("http://", "https://"))).rstrip("/")
    raise GuestFailed("this machine's apt sources name no mirror")


def base() -> Path:
    """The bare root that servers are cloned from, made once and kept in the cache."""
    CACHE.mkdir(parents=True, exist_ok=True)
    root = CACHE / f"{SUITE}-base"
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / ".complete").exists():
            shutil.rmtree(root, ignore_errors=True)
            _run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(root), mirror(),
                 seconds=900)  # fmt: skip
            shutil.rmtree(root / "var/cache/apt/archives", ignore_errors=True)
            (root / ".complete").touch()
    return root


@dataclass
class Fleet:
    """A network of servers; lanes keep the networks of several fleets apart."""

    folder: Path
    lane: int = 0
    guests: list["Guest"] = field(default_factory=list)

    @property
    def bridge(self) -> str:
        """The bridge that its servers are plugged into."""
        return f"{BRIDGE}{self.lane or ''}"

    @property
    def network(self) -> str:
        """The first three numbers of its addresses."""
        first, second, third = NETWORK.split(".")
        return f"{first}.{second}.{int(third) + self.lane}"

    @property
    def table(self) -> str:
        """Its table in this machine's firewall."""
        return f"{TABLE}{self.lane or ''}"

    @property
    def archives(self) -> Path:
        """Packages that were fetched before: apt holds a lock on them, so each lane has its own."""
        return CACHE / f"archives{self.lane or ''}"

    @property
    def group(self) -> str:
        """How the names of its servers' control groups begin."""
        return f"metachat-tests-{self.lane}-"

    @property
    def key(self) -> Path:
        """The private SSH key that every server takes from its birth."""
        return self.folder / "id_ed25519"

    def boot(self, name: str) -> "Guest":
        """Clone and start another bare server; returns when SSH answers."""
        guest = Guest(self, name, f"{self.network}.{10 + len(self.guests)}")
        self.guests.append(guest)
        guest.create()
        guest.start()
        return guest


@dataclass
class Guest:
    """One server: root with a key, nothing installed."""

    fleet: Fleet
    name: str
    address: str
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def machine(self) -> str:
        """Its name on this machine, which its network device here has too."""
        return f"{self.name}{self.fleet.lane or ''}"

    @property
    def folder(self) -> Path:
        """Where its disk lies."""
        return self.fleet.folder / self.name

    @property
    def root(self) -> Path:
        """Its file system, seen from here."""
        return self.folder / "root"

    def create(self) -> None:
        """Make its disk: a layer over the base."""
        for part in ("upper", "work", "root"):
            (self.folder / part).mkdir(parents=True)
        layers = f"lowerdir={base()},upperdir={self.folder}/upper,workdir={self.folder}/work"
        _run("mount", "-t", "overlay", "overlay", "-o", layers, str(self.root))
        self._furnish()

    def _furnish(self) -> None:
        _write(self.root / "etc/machine-id", "")
        _write(self.root / "etc/hostname", f"{self.name}\n")
        _write(self.root / "etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n")
        _write(
            self.root / "etc/systemd/network/10-host0.network",
            f"[Match]\nName=host0\n[Network]\nAddress={self.address}/24\nGateway={self.fleet.network}.1\n",
        )
        _write(self.root / "root/.ssh/authorized_keys", self.fleet.key.with_suffix(".pub").read_text(), 0o600)
        units = self.root / "etc/systemd/system"
        for unit in ("systemd-networkd.service",):
            wants = units / "multi-user.target.wants" / unit
            wants.parent.mkdir(parents=True, exist_ok=True)
            wants.symlink_to(f"/usr/lib/systemd/system/{unit}")
        # There is no console here, and a unit that fails would count as the product's.
        (units / "console-getty.service").symlink_to("/dev/null")
        self._borrow()

    def _borrow(self) -> None:
        """Give it this machine's way to the package mirrors: certificates, resolver, clients' settings."""
        shutil.copy("/etc/resolv.conf", self.root / "etc/resolv.conf")
        bundle = Path("/etc/ssl/certs/ca-certificates.crt")
        own = Path("/usr/local/share/ca-certificates")
        if own.is_dir():
            shutil.copytree(own, self.root / "usr/local/share/ca-certificates", dirs_exist_ok=True)
        shutil.copy(bundle, self.root / "etc/ssl/certs/ca-certificates.crt")
        for name in ("/etc/pip.conf",):
            if Path(name).is_file():
                shutil.copy(name, self.root / name.lstrip("/"))
        sources = "\n".join(
            f"deb {mirror()}{path} {suite} main"
            for path, suite in (("", SUITE), ("", f"{SUITE}-updates"), ("-security", f"{SUITE}-security"))
        )
        _write(self.root / "etc/apt/sources.list", sources + "\n")
        borrowed = [
            p
            for p in Path("/etc/apt/apt.conf.d").glob("*")
            if "roxy" in p.read_text() or "Verify" in p.read_text()
        ]
        for file in borrowed:
            shutil.copy(file, self.root / "etc/apt/apt.conf.d" / file.name)

    def start(self) -> None:
        """Boot it and wait for SSH."""
        _make_run()
        archives = self.fleet.archives
        (archives / "partial").mkdir(parents=True, exist_ok=True)
        groups = [
            Path("/sys/fs/cgroup", controller, f"{self.fleet.group}{self.name}")
            for controller in _CONTROLLERS
        ]
        for group in groups:
            _empty(group)
            group.mkdir()
        join = "".join(f"echo $$ > {group}/cgroup.procs; " for group in groups)
        command = [
            "systemd-nspawn", "-q", "-D", str(self.root), "-M", self.machine, "-b",
            "--register=no", "--keep-unit",
            f"--network-bridge={self.fleet.bridge}", "--resolv-conf=off", "--link-journal=no",
            "--capability=CAP_BPF", "--system-call-filter=bpf", "--console=read-only",
            f"--bind={archives}:/var/cache/apt/archives",
        ]  # fmt: skip
        log = (self.folder / "console.log").open("ab")
        self.process = subprocess.Popen(
            ["sh", "-c", f'{join}exec "$@"', "sh", *command],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1", "SYSTEMD_NSPAWN_LOCK": "0"},
        )  # fmt: skip
        self.wait_for_ssh()

    def wait_for_ssh(self, seconds: float = 60, user: str = "root") -> None:
        """Return when SSH answers; raises GuestFailed."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process is not None and self.process.poll() is not None:
                raise GuestFailed(f"{self.name} ended: {(self.folder / 'console.log').read_text()[-2000:]}")
            if self.ssh("true", user=user, check=False, seconds=10).returncode == 0:
                return
            time.sleep(0.2)
        raise GuestFailed(f"{self.name} does not answer: {(self.folder / 'console.log').read_text()[-2000:]}")

    def ssh(
        self, command: str, *, user: str = "root", check: bool = True, seconds: float = 120, stdin: str = ""
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command on it, as anybody would."""
        argv = [
            "ssh", "-i", str(self.fleet.key), "-o", "BatchMode=yes", "-o", "ConnectTimeout=5",
            "-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={self.folder}/known_hosts",
            "-o", "LogLevel=ERROR", f"{user}@{self.address}", command,
        ]  # fmt: skip
        ran = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=seconds)
        if check and ran.returncode != 0:
            raise GuestFailed(f"{self.name}: {command!r} gave {ran.returncode}: {ran.stdout}{ran.stderr}")
        return ran

    def leader(self) -> int:
        """The process of this machine that is the server's first one."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0])

    def kill(self) -> None:
        """Take it down without warning."""
        with contextlib.suppress(ProcessLookupError, IndexError, FileNotFoundError):
            os.kill(self.leader(), signal.SIGKILL)
        self._ended()

    def stop(self) -> None:
        """Shut it down."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError, IndexError, FileNotFoundError):
            os.kill(self.leader(), signal.SIGRTMIN + 4)  # systemd: power off
        self._ended()

    def _ended(self) -> None:
        if self.process is None:
            return
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError, IndexError, FileNotFoundError):
                os.kill(self.leader(), signal.SIGKILL)
            self.process.kill()
            self.process.wait(timeout=10)
        self.process = None
        for group in self._groups():
            _empty(group)

    def _groups(self) -> list[Path]:
        name = f"{self.fleet.group}{self.name}"
        return [Path("/sys/fs/cgroup", controller, name) for controller in _CONTROLLERS]

    def destroy(self) -> None:
        """Kill it and delete its disk."""
        self.kill()
        subprocess.run(["umount", "-R", "-l", str(self.root)], check=False, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def fleet(folder: Path, lane: int = 0) -> Iterator[Fleet]:
    """A network for servers; they and it are gone afterwards. Fleets of one lane wait for each other."""
    servers = Fleet(folder, lane)
    with _alone(lane), _ending_in_order():
        _sweep(servers)
        folder.mkdir(parents=True, exist_ok=True)
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(servers.key))
        forwarding = Path("/proc/sys/net/ipv4/ip_forward")
        before = forwarding.read_text()
        try:
            _plug(servers)
            forwarding.write_text("1")
            yield servers
        finally:
            for guest in servers.guests:
                guest.destroy()
            _unplug(servers)
            if not any(Path("/sys/class/net").glob(f"{BRIDGE}*")):
                forwarding.write_text(before)


def _make_run() -> None:
    """Put into memory what servers leave for this machine's own systemd; once, however many start."""
    Path("/run/systemd").mkdir(exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.ismount("/run/systemd"):
            _run("mount", "-t", "tmpfs", "tmpfs", "/run/systemd")


@contextlib.contextmanager
def _alone(lane: int) -> Iterator[None]:
    """Wait for the end of another fleet on this machine: a lane has one bridge."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"fleet-{lane}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _ending_in_order() -> Iterator[None]:
    """Let SIGTERM end a run as Ctrl-C does, so that everything is taken down."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(*_: object) -> None:
        raise KeyboardInterrupt  # which pytest takes for the end, unlike SystemExit

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _sweep(servers: Fleet) -> None:
    """Take away what a run left that was killed: its processes, mounts, disks and network."""
    for controller in _CONTROLLERS:
        for group in Path("/sys/fs/cgroup", controller).glob(f"{servers.group}*"):
            _empty(group)
    for line in Path("/proc/mounts").read_text().splitlines():
        place = line.split()[1]
        if f"/{folder_prefix(servers.lane)}" in place:
            subprocess.run(["umount", "-R", "-l", place], check=False, capture_output=True)
    for left in servers.folder.parent.glob(f"{folder_prefix(servers.lane)}*"):
        if left != servers.folder and not any(os.path.ismount(root) for root in left.glob("*/root")):
            shutil.rmtree(left, ignore_errors=True)
    _unplug(servers)


def folder_prefix(lane: int = 0) -> str:
    """How the folder of a fleet begins, so that a later one can tell what was left by it."""
    return f"metachat-fleet-{lane}-"


def _plug(servers: Fleet) -> None:
    _run("ip", "link", "add", servers.bridge, "type", "bridge")
    _run("ip", "addr", "add", f"{servers.network}.1/24", "dev", servers.bridge)
    _run("ip", "link", "set", servers.bridge, "up")
    _run("nft", "-f", "-", stdin=_firewall(servers))


def _firewall(servers: Fleet) -> str:
    # Servers reach the package mirrors, and nothing else of the world.
    return f"""
    table ip {servers.table} {{
      chain forward {{
        type filter hook forward priority 0; policy accept;
        iifname "{servers.bridge}" oifname "{servers.bridge}" accept
        iifname "{servers.bridge}" meta l4proto {{ tcp, udp }} th dport {{ 53, 80, 443 }} accept
        iifname "{servers.bridge}" drop
      }}
      chain out {{
        type nat hook postrouting priority 100;
        ip saddr {servers.network}.0/24 ip daddr != {servers.network}.0/24 masquerade
      }}
    }}
    """


def _unplug(servers: Fleet) -> None:
    commands = (["nft", "delete", "table", "ip", servers.table], ["ip", "link", "delete", servers.bridge])
    for command in commands:
        subprocess.run(command, check=False, capture_output=True)


def _empty(group: Path) -> None:
    """Remove a control group and all below it; whatever still lives there is killed."""
    deadline = time.monotonic() + 10
    while group.exists() and time.monotonic() < deadline:
        for below in [*sorted(group.rglob("cgroup.procs"), key=lambda p: -len(p.parts))]:
            with contextlib.suppress(OSError):
                for process in below.read_text().split():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(process), signal.SIGKILL)
                below.parent.rmdir()
        time.sleep(0.05)


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_text(text)
    path.chmod(mode)


def _run(*argv: str, stdin: str = "", seconds: float = 60) -> str:
    ran = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=seconds)
    if ran.returncode != 0:
        raise GuestFailed(f"{' '.join(argv)}: {ran.stdout[-1000:]}{ran.stderr[-1000:]}")
    return ran.stdout


def unit_states(guest: Guest) -> dict[str, str]:
    """What systemd says of every service on a server."""
    rows = json.loads(guest.ssh("systemctl list-units --type=service --all -o json").stdout)
    return {row["unit"]: row["active"] for row in rows}
