"""What the world's own tools say of the site: testssl.sh of its TLS, Mozilla's observatory of its headers."""

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from tests.servers.guests import CACHE, Guest
from tests.servers.sites import DOMAIN, Live, Tell

# What an authority of our own cannot have: nobody outside knows it, and it publishes no revocations.
UNAVOIDABLE = ("neither CRL nor OCSP", "certificate does not match", "self signed", "chain incomplete")
OBSERVATORY = "@mdn/mdn-http-observatory@1.4.8"


def test_tls_earns_an_a(live: Live, elsewhere: Guest, tell: Tell) -> None:
    install = "apt-get update -qq && apt-get install -y -qq --no-install-recommends testssl.sh"
    installed = elsewhere.ssh(install, seconds=300, check=False)
    if installed.returncode != 0:
        pytest.skip(f"testssl.sh cannot be installed from the package mirror: {installed.stderr[-300:]}")
    elsewhere.ssh("cat > /root/authority.crt", stdin=live.authority.read_text())
    run = f"testssl --quiet --color 0 --warnings off --add-ca /root/authority.crt {DOMAIN}"
    said = elsewhere.ssh(run, seconds=600, check=False).stdout
    grade = re.search(r"Overall Grade\s+(\S+)", said)
    found = [line.strip() for line in said.splitlines() if re.search(r"NOT ok|WARN|VULNERABLE", line)]
    tell(f"testssl.sh: grade {grade and grade.group(1)}; findings: {found or 'none'}")
    assert grade is not None, said[-3000:]
    assert grade.group(1) in ("A", "A+")
    assert [line for line in found if not any(one in line for one in UNAVOIDABLE)] == []


def test_headers_earn_an_a_plus(live: Live, tell: Tell) -> None:
    tool = _observatory()
    hosts = live.operator.folder / "hosts"
    hosts.write_text(f"127.0.0.1 localhost\n{live.guest.address} {DOMAIN}\n")
    scan = f"mount --bind {hosts} /etc/hosts && exec node {tool}/src/scan.js {DOMAIN}"
    ran = subprocess.run(
        ["unshare", "-m", "sh", "-c", scan], capture_output=True, text=True, timeout=120, cwd=tool,
        env={**os.environ, "NODE_EXTRA_CA_CERTS": str(live.authority)},
    )  # fmt: skip
    assert ran.returncode == 0, f"{ran.stdout[-2000:]}{ran.stderr[-2000:]}"
    scanned = json.loads(ran.stdout)["scan"]
    tell(f"observatory: {scanned['grade']}, score {scanned['score']}")
    assert scanned["grade"] == "A+"


# Signs in with a wrong password, so many times a line; tells each answer's status, or that there was none.
GUESSING = """
import json, ssl, sys, urllib.error, urllib.request
anybody = ssl._create_unverified_context()
for number in range(int(sys.argv[2])):
    wrong = json.dumps({"email": f"owner{number}@acme.test", "password": "a guess like any other"}).encode()
    request = urllib.request.Request(f"https://{sys.argv[1]}/api/v1/session", wrong,
                                     {"Content-Type": "application/json"})
    try:
        print(urllib.request.urlopen(request, timeout=5, context=anybody).status)
    except urllib.error.HTTPError as error:
        print(error.code)
    except OSError as error:
        print("away")
"""


def test_who_guesses_passwords_is_banned_and_nobody_else(live: Live, elsewhere: Guest) -> None:
    def guess(times: int) -> list[str]:
        return elsewhere.ssh(f"python3 - {DOMAIN} {times}", stdin=GUESSING).stdout.split()

    try:
        assert guess(5) == ["401"] * 5  # who mistypes now and then is not banned
        assert "Currently banned:\t0" in live.root("fail2ban-client status metachat")
        assert set(guess(25)) <= {"401", "away"}
        deadline = time.monotonic() + 30
        while elsewhere.address not in live.root("fail2ban-client status metachat"):
            assert time.monotonic() < deadline, "nobody was banned"
        assert guess(1) == ["away"]
        assert live.request("GET", "/sign-in")[0] == 200
        # Banned from the site, not from SSH: the operator may be in the same office.
        look = f"import socket; print(socket.create_connection(('{live.guest.address}', 22), 5).recv(4))"
        assert "SSH-" in elsewhere.ssh(f'python3 -c "{look}"').stdout
    finally:
        live.root("fail2ban-client unban --all")
    assert guess(1) == ["401"]


def _observatory() -> Path:
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("the observatory needs node and npm")
    home = CACHE / "observatory"
    tool = home / "node_modules/@mdn/mdn-http-observatory"
    if not (tool / "src/scan.js").exists():
        home.mkdir(parents=True, exist_ok=True)
        install = ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(home)]
        ran = subprocess.run(
            [npm, *install, OBSERVATORY], capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        if ran.returncode != 0:
            pytest.skip(f"the observatory cannot be installed: {ran.stderr[-300:]}")
    (tool / "conf").mkdir(exist_ok=True)
    preloaded = tool / "conf/hsts-preload.json"
    if not preloaded.exists():
        preloaded.write_text("{}")
    return tool
