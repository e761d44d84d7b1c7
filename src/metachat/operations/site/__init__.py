"""The site file: what the servers should be."""

from metachat.operations.site.reading import (
    DEFAULT,
    SiteFileMissing,
    SiteFileWrong,
    Wrong,
    examine,
    read,
    schema,
)
from metachat.operations.site.schema import (
    READY_ROLES,
    Backup,
    Plan,
    Receiver,
    Role,
    Secrets,
    Server,
    Site,
    Sizes,
    Tls,
    Upkeep,
)

__all__ = [
    "DEFAULT",
    "READY_ROLES",
    "Backup",
    "Plan",
    "Receiver",
    "Role",
    "Secrets",
    "Server",
    "Site",
    "SiteFileMissing",
    "SiteFileWrong",
    "Sizes",
    "Tls",
    "Upkeep",
    "Wrong",
    "examine",
    "read",
    "schema",
]
