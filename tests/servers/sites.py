"""A site that was provisioned on a throwaway server, as its operator and its customers see it."""

import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.servers.guests import Guest

DOMAIN = "chat.acme.test"
METACHAT = Path(sys.executable).parent / "metachat"
RETURNS = "# Returns\n\nCustomers may return a tent within 45 days. Return parcels go to Zagreb.\n"

# Tells a figure to whoever runs the suite.
Tell = Callable[[str], None]


@dataclass
class Operator:
    """A person at their own machine, with a site file, secrets and an SSH key."""

    folder: Path
    key: Path

    def metachat(
        self, *arguments: str, seconds: float = 600, **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run the command line."""
        return subprocess.run(
            self.argv(*arguments), cwd=self.folder, capture_output=True, text=True, timeout=seconds,
            stdin=subprocess.DEVNULL, env=self.environment(**environment),
        )  # fmt: skip

    def argv(self, *arguments: str) -> list[str]:
        """The command line's arguments."""
        return [str(METACHAT), *arguments]

    def environment(self, **more: str) -> dict[str, str]:
        """What it finds in its environment."""
        return {**os.environ, "METACHAT_DATA_DIR": str(self.folder / "data"), **more}

    def writes_site(self, address: str, name: str = "alpha", file: str = "site.toml") -> None:
        """Answer what `metachat site init` asks."""
        made = self.metachat(
            "site", "init", "--site", file, "--domain", DOMAIN, "--contact", "ops@acme.test",
            "--address", address, "--server", name, "--issuer", "internal",
            "--operator-key", str(self.key.with_suffix(".pub")),
        )  # fmt: skip
        assert made.returncode == 0, made.stderr

    def provisions(self, *options: str, key: Path | None = None) -> "subprocess.CompletedProcess[str]":
        """Run `metachat provision`."""
        recovery = ("--recovery-file", str(self.folder / "recovery.key"))
        return self.metachat("provision", "--key", str(key or self.key), *recovery, *options)

    def secret(self, name: str) -> str:
        """One of the site's secrets, from its store."""
        shown = self.metachat(
            "secrets", "get", name, METACHAT_SECRETS_STORE=f"age:{self.folder / 'secrets.age'}"
        )
        assert shown.returncode == 0, shown.stderr
        return shown.stdout.strip()


@dataclass
class Live:
    """The site on its server, reached from outside."""

    guest: Guest
    operator: Operator
    seconds: float
    authority: Path
    channel: str = ""
    notes: list[str] = field(default_factory=list)

    def root(self, command: str, seconds: float = 300) -> str:
        """Run a command on the server as its operator, with sudo."""
        quoted = command.replace("'", "'\\''")
        return self.guest.ssh(f"sudo sh -c '{quoted}'", user="operator", seconds=seconds).stdout

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 30,
    ) -> tuple[int, dict[str, str], bytes]:
        """Ask the site over HTTPS, trusting its own authority and nothing else."""
        context = ssl.create_default_context(cafile=str(self.authority))
        plain = socket.create_connection((self.guest.address, 443), timeout=timeout)
        connection = http.client.HTTPSConnection(DOMAIN, timeout=timeout, context=context)
        connection.sock = context.wrap_socket(plain, server_hostname=DOMAIN)
        try:
            content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
            kind = {} if body is None else {"Content-Type": "application/json"}
            connection.request(method, path, body=content, headers={**kind, **(headers or {})})
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, named, answer.read()
        finally:
            connection.close()

    def opens_chat(self) -> None:
        """Make a tenant, a document and a web chat with the server's own command line."""
        run = self.guest.ssh
        run("metachat tenants create acme --name Acme", user="operator")
        place = "/var/lib/metachat/returns.md"
        run(f"sudo install -o metachat -m 600 /dev/stdin {place}", user="operator", stdin=RETURNS)
        run(f"metachat knowledge add {place} --tenant acme", user="operator")
        made = run(
            f"metachat channels add webchat --tenant acme --origin https://{DOMAIN} --json", user="operator"
        )
        self.channel = json.loads(made.stdout)["channel"]["id"]

    def begins_chat(self) -> dict[str, str]:
        """Begin a conversation; gives the headers of its visitor."""
        status, _, body = self.request(
            "POST", f"/chat/{self.channel}/sessions", {}, {"Origin": f"https://{DOMAIN}"}
        )
        assert status == 201, body
        return {"Authorization": f"Bearer {json.loads(body)['token']}", "Origin": f"https://{DOMAIN}"}

    def says(self, visitor: dict[str, str], text: str, timeout: float = 30) -> int:
        """Send a message; gives its status."""
        message = {"text": text, "client_key": uuid4().hex}
        return self.request("POST", f"/chat/{self.channel}/messages", message, visitor, timeout)[0]

    def transcript(self, visitor: dict[str, str]) -> list[dict[str, Any]]:
        """All messages of a visitor's conversation."""
        found: list[dict[str, Any]] = []
        while True:
            after = found[-1]["seq"] if found else 0
            path = f"/chat/{self.channel}/messages?after={after}"
            part = json.loads(self.request("GET", path, None, visitor)[2])["items"]
            if not part:
                return found
            found += part

    def answer_to(self, question: str, seconds: float = 60) -> dict[str, Any]:
        """Ask as a customer, and wait for the assistant's answer."""
        visitor = self.begins_chat()
        assert self.says(visitor, question) == 202
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            said = [one for one in self.transcript(visitor) if one["author"] != "customer"]
            if said:
                return said[-1]
            time.sleep(0.3)
        raise AssertionError(f"no answer within {seconds} s")
