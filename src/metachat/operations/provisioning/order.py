"""What the provisioning child is told on its standard input: secrets never stand in its arguments."""

from typing import Literal

import msgspec

from metachat.operations.drift.model import Background, Finding
from metachat.operations.site import Server, Site

# "drift" plans, and tells besides what the server has that nobody planned.
Mode = Literal["plan", "apply", "drift"]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One server's visit. login_user None means that the site's own operator already may enter."""

    site: Site
    server: Server
    mode: Mode
    release: str
    environment: str
    archive: str
    lock: str
    proxy: str = ""
    key: str
    known_hosts: str
    login_user: str
    sudo_password: str = ""
    cores: int = 2
    folder: str = ""
    secrets: dict[str, str] = {}
    background: Background | None = None


class Begun(msgspec.Struct, frozen=True, tag=True):
    """An operation begins."""

    name: str


class Step(msgspec.Struct, frozen=True, tag=True):
    """One operation: what it is called, and whether it changes, or changed, something."""

    name: str
    change: bool


class Found(msgspec.Struct, frozen=True, tag=True):
    """A difference between the server and what it should be."""

    finding: Finding


class Looked(msgspec.Struct, frozen=True, tag=True):
    """The server was looked at; quiet are steps whose change says nothing by itself."""

    known: bool
    quiet: list[str]


class Sealed(msgspec.Struct, frozen=True, tag=True):
    """The server is as it should be; what it has besides is its background."""

    background: Background


class Failed(msgspec.Struct, frozen=True, tag=True):
    """What ended the visit."""

    code: str
    sentence: str
    step: str = ""


class Done(msgspec.Struct, frozen=True, tag=True):
    """The visit is over: how many operations there were, and how many of them changed something."""

    steps: int
    changes: int


Told = Begun | Step | Found | Looked | Sealed | Failed | Done
