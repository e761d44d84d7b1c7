"""Writes the first site file: one server with every role, as its few answers say."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from metachat.foundation.errors import Kind, Refusal
from metachat.operations.site.reading import read

EXAMPLE = """\
# What the servers should be. Change it, look at `metachat provision --plan`, then run `metachat provision`.
name = {name}
domain = {domain}                # the name that customers reach the site under
contact = {contact}              # hears of trouble with the certificate
operators = [                    # public SSH keys of the people who may enter; there are no passwords
{operators}]

[[servers]]
name = {server}
address = {address}              # where SSH answers
roles = ["proxy", "app", "worker", "database"]
# port = 22
# user = "operator"              # made at the first visit, and used from then on
# first_user = "root"            # who lets us in before that; as another user, with sudo

[tls]
issuer = {issuer}                # "acme", or "internal": the proxy's own authority, for closed networks
# http3 = false                  # opens UDP 443
# directory = ""                 # another ACME directory than the usual one

[secrets]
store = {store}                  # from this file's folder on; see `metachat secrets`

# [sizes]
# api = 0                        # processes; 0: as many as cores, at least two
# workers = 1
# api_memory = "512M"
# worker_memory = "1G"
# swap = "1G"
# journal = "1G"                 # of logs at most, and 90 days

# [limits]                       # requests a second; 0: without a limit
# per_address = 50
# per_tenant = 100               # all that are signed in, and its API keys, together
# per_key = 20

# [upkeep]
# time_zone = "Etc/UTC"
# reboot = "04:00"               # when patches want one
# drift_every = "1h"

# [backup]
# target = "s3:bucket/prefix"    # its keys are the secrets backup_access_key and backup_secret_key
# recipients = ["age1..."]       # public halves of the recovery keys in the safe
# ca = ""                        # the store's own authority, as PEM
# endpoint = ""
# region = ""
# keep_daily = 7
# keep_weekly = 5
# keep_monthly = 12

# [[alerts]]
# name = "on-call"
# kind = "slack"                 # slack, pagerduty, email or webhook
# secret = "alert_on_call"       # the secret that holds its address or key; this is its usual name
# to = ""                        # the address, for email; its server is [smtp]: host, port, user, sender, tls

# [monitor]                      # for a server with the role monitor
# runbooks = ""                  # where you serve docs/runbooks; alerts link there
# heartbeat = ""                 # the secret with the address of a dead-man's switch: "alert_heartbeat"
# channel = ""                   # the web chat that a question is asked through, now and then
# question = "How long does delivery take?"
# expect = ""                    # a word that a true answer has

# [plans.basic]
# price = 49.0                   # a month
# conversations = 1000
"""


class SiteFileExists(Refusal):
    """There is a site file here already."""

    code, kind = "site_file_exists", Kind.CONFLICT


@dataclass(frozen=True, slots=True)
class Answers:
    """What `metachat site init` asks."""

    domain: str
    contact: str
    address: str
    operators: list[str] = field(default_factory=list)
    name: str = ""
    server: str = ""
    issuer: str = "acme"
    store: str = "age:secrets.age"


def written(answers: Answers) -> str:
    """The text of a site file with these answers."""
    domain = answers.domain
    return EXAMPLE.format(
        name=_quoted(answers.name or domain.split(".")[-2 if "." in domain else 0]),
        domain=_quoted(domain), contact=_quoted(answers.contact), address=_quoted(answers.address),
        server=_quoted(answers.server or domain.split(".")[0]), issuer=_quoted(answers.issuer),
        operators="".join(f"  {_quoted(key)},\n" for key in answers.operators), store=_quoted(answers.store),
    )  # fmt: skip


def example() -> str:
    """A site file with every key, for a site that isn't there."""
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI... ana@laptop"
    return written(Answers("chat.acme.example", "ops@acme.example", "203.0.113.7", [key]))


def init(file: Path, answers: Answers) -> None:
    """Write a site file and check it; raises SiteFileExists, SiteFileWrong (then none is left)."""
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError as error:
        raise SiteFileExists(f"{file}: change it there, or name another one with --site.") from error
    with os.fdopen(handle, "w") as written_to:
        written_to.write(written(answers))
    try:
        read(file)
    except Refusal:
        file.unlink()
        raise


def _quoted(text: str) -> str:
    # A JSON string is a TOML string too.
    return json.dumps(text)
