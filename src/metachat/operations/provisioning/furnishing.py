"""The secrets that servers get: read from the site's store, and made where they are missing."""

import os
from dataclasses import replace
from pathlib import Path

from metachat.foundation.settings import Secret
from metachat.operations import journal
from metachat.operations.monitoring import settings
from metachat.operations.provisioning.order import Mode
from metachat.operations.secrets import Place, SecretMissing, Store, StoreMissing, open_store, place_of
from metachat.operations.secrets.contract import read_all
from metachat.operations.secrets.known import DATABASES, MADE, known, make
from metachat.operations.secrets.making import Generated, Wanted, generate
from metachat.operations.site import Site

_DATABASE = "metachat"


def place(site: Site, folder: Path, data: Path) -> Place:
    """Where the site's secrets are kept; a file is named from the site file's folder on."""
    scheme, _, rest = site.secrets.store.partition(":")
    address = (
        f"{scheme}:{folder.absolute() / rest}" if scheme in ("age", "file") and rest else site.secrets.store
    )
    return replace(place_of(dict(os.environ)), address=address, data_dir=data, production=True)


def complete(site: Site, store: Store, data: Path, wanted: Wanted) -> Generated:
    """Make what is missing, with the roles of the site's database; raises StoreRefusal."""
    with journal.recorded(data, "provision secrets", site.name):
        return generate(store, replace(wanted, database=f"{database_host(site)}:5432/{_DATABASE}"))


def secrets_for(site: Site, where: Place, mode: Mode, wanted: Wanted) -> dict[str, str]:
    """The secrets that servers get, by name; a plan makes none, and takes any value for what is missing."""
    store = open_store(where)
    if mode == "apply":
        missing = set(MADE) | set(DATABASES)
        if missing - set(_kept(store)):
            complete(site, store, where.data_dir, wanted)
        values = _kept(store)
        for name in _of_alerts(site):
            if name not in values:
                raise SecretMissing(name)
    else:
        made = {name: make() for name in (*MADE, *_of_alerts(site))}
        values = made | _placeholders(site) | _kept(store)
    return {name: value.reveal() for name, value in values.items() if name in {*known(), *_of_alerts(site)}}


def database_host(site: Site) -> str:
    """Where the application finds the database: on its own machine, or on the site's private network."""
    (database,) = site.with_role("database")
    others = [
        server for server in site.servers if {"app", "worker"} & set(server.roles) and server != database
    ]
    return (database.private_address or database.address) if others else "127.0.0.1"


def _of_alerts(site: Site) -> list[str]:
    """What a monitor reaches people by; nobody else needs it."""
    if not site.with_role("monitor"):
        return []
    return [*settings.secrets_of(site), *(["smtp_password"] if site.smtp.user else [])]


def _kept(store: Store) -> dict[str, Secret]:
    try:
        return read_all(store)
    except StoreMissing:
        return {}


def _placeholders(site: Site) -> dict[str, Secret]:
    host = database_host(site)
    return {name: Secret(f"postgresql://{role}@{host}/{_DATABASE}") for name, role in DATABASES.items()}
