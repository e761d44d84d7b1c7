"""What is expected of a server, what is found there, and what lies between."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec


class Item(NamedTuple):
    """Something that a server has: its kind, and where it is. What it is like is a plain sentence."""

    kind: str
    where: str


Facts = Mapping[Item, str]


class PlacedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that provisioning puts; hash "" means that it is a secret, which only a plan compares."""

    step: str
    hash: str
    mode: str
    owner: str


class PlacedLink(msgspec.Struct, frozen=True, kw_only=True):
    """A link that provisioning makes."""

    step: str
    target: str


class MadeUser(msgspec.Struct, frozen=True, kw_only=True):
    """A user that provisioning makes; keys None means that it leaves them alone."""

    step: str
    shell: str
    groups: list[str] = []
    keys: list[str] | None = None


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """What the steps of provisioning declare for a server, read off them while they are prepared.

    Each thing names its step. A change foretold of a quiet step says nothing by itself: it follows from
    another step, or an inventory tells it better.
    """

    files: dict[str, PlacedFile] = {}
    links: dict[str, PlacedLink] = {}
    packages: dict[str, str] = {}
    users: dict[str, MadeUser] = {}
    running: dict[str, str] = {}
    enabled: dict[str, str] = {}
    quiet: list[str] = []


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What code says of a server besides its steps: where it listens, and who may enter the database."""

    roles: list[str]
    ssh_port: int = 22
    http3: bool = False
    private_address: str = ""
    api_ports: list[int] = []
    monitor_ports: list[int] = []


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A difference: what it is, where, what was expected and found ("" for nothing), and the next move.

    undo are the commands by which provisioning takes it back, where its own steps don't.
    """

    what: str
    where: str
    expected: str
    found: str
    fix: str
    step: str = ""
    undo: list[str] = []

    @property
    def sentence(self) -> str:
        """Say it in one line."""
        if not self.expected:
            return f"{self.what} {self.where}: {self.found}, and should not be there"
        if not self.found:
            return f"{self.what} {self.where}: missing, expected {self.expected}"
        return f"{self.what} {self.where}: {self.found}, expected {self.expected}"


class Background(msgspec.Struct, frozen=True, kw_only=True):
    """What a server had of its own when it was first provisioned: its image's, and its packages' doing.

    scope tells where was looked then: what a later version looks at besides is nobody's addition.
    """

    at: str
    facts: list[tuple[str, str, str]]
    scope: list[str] = []

    def as_facts(self) -> dict[Item, str]:
        """Give it in the form that is compared."""
        return {Item(kind, where): told for kind, where, told in self.facts}


class Expectation(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a server compares itself with, between two visits."""

    server: str
    release: str
    declared: Declared
    place: Place
    background: Background
    rules: str
    proxy: msgspec.Raw
