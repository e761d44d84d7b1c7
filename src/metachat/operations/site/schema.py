"""What a site file may say: one declaration, from which validation, the JSON Schema and the example come."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Role = Literal["proxy", "app", "worker", "database", "queue", "cache", "monitor"]

# What this version sets up; the other roles have their place in the file already.
READY_ROLES: tuple[Role, ...] = ("proxy", "app", "worker", "database", "monitor")

Name = Annotated[
    str, Meta(pattern=r"^[a-z][a-z0-9-]{0,30}$", description="Lower-case letters, digits and hyphens.")
]
Domain = Annotated[
    str,
    Meta(
        pattern=r"^(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$",
        description="A full host name, without a scheme and without a path.",
    ),
]
Mail = Annotated[str, Meta(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]
Memory = Annotated[str, Meta(pattern=r"^[1-9][0-9]*[MG]$", description="Like 512M or 2G.")]
Port = Annotated[int, Meta(ge=1, le=65535)]
Clock = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description="Like 04:00.")]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the file; a key that it doesn't know is refused."""


class Server(_Table, frozen=True, kw_only=True):
    """A server, and what it does."""

    name: Name
    address: Annotated[str, Meta(min_length=1, description="Where SSH answers: an address or a host name.")]
    roles: Annotated[list[Role], Meta(min_length=1)]
    port: Port = 22
    user: Name = "operator"
    first_user: Name = "root"
    private_address: Annotated[str, Meta(description="Its address among the servers of the site.")] = ""


class Tls(_Table, frozen=True, kw_only=True):
    """Who vouches for the site: a public authority by ACME, or the proxy's own for closed networks."""

    issuer: Literal["acme", "internal"] = "acme"
    directory: Annotated[str, Meta(description="Another ACME directory than the usual one.")] = ""
    http3: bool = False


class Sizes(_Table, frozen=True, kw_only=True):
    """How many of each process, and how much memory each may take; 0 means as many as cores, at least two."""

    api: Annotated[int, Meta(ge=0, le=64)] = 0
    workers: Annotated[int, Meta(ge=1, le=16)] = 1
    api_memory: Memory = "512M"
    worker_memory: Memory = "1G"
    swap: Annotated[str, Meta(pattern=r"^(0|[1-9][0-9]*[MG])$")] = "1G"
    journal: Memory = "1G"


Rate = Annotated[int, Meta(ge=0, le=100_000, description="Requests a second; 0 means without a limit.")]


class Limits(_Table, frozen=True, kw_only=True):
    """How often callers may ask."""

    per_address: Rate = 50
    per_tenant: Rate = 100
    per_key: Rate = 20


class Secrets(_Table, frozen=True, kw_only=True):
    """Where the secrets of the site are kept; see `metachat secrets`."""

    store: Annotated[str, Meta(min_length=1)] = "age:secrets.age"


class Backup(_Table, frozen=True, kw_only=True):
    """Where backups go; "" means that none are made."""

    target: Annotated[str, Meta(description="dir:/path or s3:bucket/prefix.")] = ""
    endpoint: str = ""
    region: str = ""
    ca: Annotated[str, Meta(description="The store's own authority, as PEM, if it has one.")] = ""
    recipients: Annotated[list[str], Meta(description="Public age keys that open them: the safe's.")] = []
    keep_daily: Annotated[int, Meta(ge=1, le=366)] = 7
    keep_weekly: Annotated[int, Meta(ge=0, le=260)] = 5
    keep_monthly: Annotated[int, Meta(ge=0, le=120)] = 12


class Receiver(_Table, frozen=True, kw_only=True):
    """Who hears of alerts; the address or key itself is a secret, named here."""

    name: Name
    kind: Literal["slack", "pagerduty", "email", "webhook"]
    secret: Annotated[str, Meta(description="The secret that holds its address or key.")] = ""
    to: Annotated[str, Meta(description="The e-mail address, for kind email.")] = ""
    endpoint: Annotated[str, Meta(description="PagerDuty's address, where it is not the usual one.")] = ""


class Smtp(_Table, frozen=True, kw_only=True):
    """The server that alerts by e-mail go through; its password is the secret smtp_password."""

    host: str = ""
    port: Port = 587
    user: str = ""
    sender: Annotated[str, Meta(description="The address that alerts come from.")] = ""
    tls: Literal["starttls", "implicit", "none"] = "starttls"


class Monitor(_Table, frozen=True, kw_only=True):
    """How the server with the role monitor watches the site."""

    runbooks: Annotated[str, Meta(description="Where you serve docs/runbooks; alerts link there.")] = ""
    heartbeat: Annotated[str, Meta(description="The secret with the dead-man's switch's address.")] = ""
    channel: Annotated[str, Meta(description="The web chat that a question is asked through.")] = ""
    question: str = "How long does delivery take?"
    expect: Annotated[str, Meta(description="A word that a true answer has.")] = ""


class Plan(_Table, frozen=True, kw_only=True):
    """What a tenant pays, and for how much."""

    price: Annotated[float, Meta(ge=0, description="A month, in the site's currency.")]
    conversations: Annotated[int, Meta(ge=0, description="A month; 0 means without a limit.")] = 0


class Upkeep(_Table, frozen=True, kw_only=True):
    """When the servers may do what disturbs."""

    time_zone: str = "Etc/UTC"
    reboot: Clock = "04:00"
    drift_every: Annotated[str, Meta(pattern=r"^[1-9][0-9]*(min|h)$")] = "1h"


class Site(_Table, frozen=True, kw_only=True):
    """What the servers should be."""

    name: Name
    domain: Domain
    contact: Mail
    servers: Annotated[list[Server], Meta(min_length=1)]
    tls: Tls = Tls()
    sizes: Sizes = Sizes()
    limits: Limits = Limits()
    secrets: Secrets = Secrets()
    backup: Backup = Backup()
    alerts: list[Receiver] = []
    smtp: Smtp = Smtp()
    monitor: Monitor = Monitor()
    plans: dict[Name, Plan] = {}
    upkeep: Upkeep = Upkeep()
    operators: Annotated[list[str], Meta(description="Public SSH keys of the people who may enter.")] = []

    def with_role(self, role: Role) -> list[Server]:
        """The servers that do this, in the order of the file."""
        return [server for server in self.servers if role in server.roles]
