"""The site file as backups keep it, and the address of the target that it names."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec

from metachat.operations.site import Backup, Site, read


def written(site: Site) -> str:
    """Write a site as TOML, with all of its defaults: the same site gives the same text."""
    return "\n".join(_lines(msgspec.to_builtins(site))) + "\n"


def address(backup: Backup, authority: str = "") -> str:
    """The value of METACHAT_BACKUP_TARGET; authority is the file that the store's authority lies in."""
    told = {"endpoint": backup.endpoint, "region": backup.region, "ca": authority if backup.ca else ""}
    options = urlencode({name: value for name, value in told.items() if value}, safe="/:")
    return f"{backup.target}?{options}" if options else backup.target


def moved(site: Site, name: str, to: str) -> Site:
    """The site with one of its servers at another address, as bare as it comes."""
    servers = [
        msgspec.structs.replace(one, address=to, private_address="") if one.name == name else one
        for one in site.servers
    ]
    return msgspec.structs.replace(site, servers=servers)


def parsed(content: bytes) -> Site:
    """Read what `written` wrote; raises SiteFileWrong."""
    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        file.write(content)
        file.flush()
        return read(Path(file.name))


def keep(site: Site, folder: Path) -> Path:
    """Write it into a folder."""
    path = folder / "site.toml"
    path.write_text(written(site))
    return path


def _lines(table: dict[str, Any], name: str = "") -> Iterator[str]:
    tables = {key: one for key, one in table.items() if _is_table(one)}
    yield from (f"{key} = {_value(one)}" for key, one in table.items() if key not in tables)
    for key, one in tables.items():
        place = f"{name}.{key}" if name else key
        if isinstance(one, dict):
            yield from ("", f"[{place}]", *_lines(one, place))
        else:
            for each in one:
                yield from ("", f"[[{place}]]", *_lines(each, place))


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) or bool(isinstance(value, list) and value and isinstance(value[0], dict))


def _value(value: Any) -> str:
    # What JSON says of texts, numbers, truths and lists of them, TOML says in the same words.
    return json.dumps(value, ensure_ascii=False)
