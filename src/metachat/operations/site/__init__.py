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
    Monitor,
    Plan,
    Receiver,
    Role,
    Secrets,
    Server,
    Site,
    Sizes,
    Smtp,
    Tls,
    Upkeep,
)

__all__ = [
    "DEFAULT",
    "READY_ROLES",
    "Backup",
    "Monitor",
    "Plan",
    "Receiver",
    "Role",
    "Secrets",
    "Server",
    "Site",
    "SiteFileMissing",
    "SiteFileWrong",
    "Sizes",
    "Smtp",
    "Tls",
    "Upkeep",
    "Wrong",
    "examine",
    "read",
    "schema",
]
