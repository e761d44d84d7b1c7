"""Reads a site file, and tells everything that is wrong with it at once: where, what, and what to do."""

import difflib
import tomllib
import types
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec

from metachat.foundation.errors import Kind, Refusal
from metachat.operations.site.schema import READY_ROLES, Site

DEFAULT = Path("site.toml")


class SiteFileMissing(Refusal):
    """There is no site file here."""

    code, kind = "site_file_missing", Kind.NOT_FOUND


class SiteFileWrong(Refusal):
    """The site file has problems."""

    code, kind = "site_file_wrong", Kind.INVALID
    exit_code = 78  # EX_CONFIG


@dataclass(frozen=True, slots=True)
class Wrong:
    """One thing wrong with the file; path is like servers[0].roles."""

    path: str
    problem: str
    fix: str


def read(file: Path = DEFAULT) -> Site:
    """Read and validate a site file; raises SiteFileMissing, SiteFileWrong with every problem."""
    site, wrong = examine(file)
    if site is None or wrong:
        lines = [f"{file}: {w.path}: {w.problem}. {w.fix}" for w in wrong]
        raise SiteFileWrong("\n".join(lines), problems=[msgspec.to_builtins(w) for w in wrong])
    return site


def examine(file: Path) -> tuple[Site | None, list[Wrong]]:
    """Read a site file; gives what it says where that can be read, and all that is wrong."""
    try:
        told = tomllib.loads(file.read_text())
    except FileNotFoundError as error:
        raise SiteFileMissing(f"{file} does not exist. Write one with `metachat site init`.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return None, [Wrong("(file)", f"is not TOML: {error}", "Mend the line it names.")]
    except OSError as error:
        return None, [Wrong("(file)", f"cannot be read: {error.strerror}", "Make it readable.")]
    wrong = list(_problems(told, Site, ""))
    if wrong:
        return None, wrong
    site = msgspec.convert(told, Site)
    return site, list(_contradictions(site))


def schema() -> dict[str, Any]:
    """The JSON Schema of the site file, for editors."""
    return msgspec.json.schema(Site)


def _problems(told: Any, expected: Any, path: str) -> Iterator[Wrong]:
    kind = _bare(expected)
    origin = get_origin(kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield from _table_problems(told, kind, path)
    elif origin is list and isinstance(told, list):
        (inner,) = get_args(kind)
        for place, item in enumerate(told):
            yield from _problems(item, inner, f"{path}[{place}]")
        if not told:
            yield from _value_problem(told, expected, path)
    elif origin is dict and isinstance(told, dict):
        key, inner = get_args(kind)
        for name, item in told.items():
            yield from _value_problem(name, key, f"{path}.{name}")
            yield from _problems(item, inner, f"{path}.{name}")
    else:
        yield from _value_problem(told, expected, path)


def _table_problems(told: Any, table: type[msgspec.Struct], path: str) -> Iterator[Wrong]:
    if not isinstance(told, dict):
        yield Wrong(path, "is not a table", f"Write it as [{path}] with its keys below.")
        return
    kinds = get_type_hints(table, include_extras=True)
    for name in told.keys() - kinds.keys():
        near = difflib.get_close_matches(name, kinds, n=1, cutoff=0.5)
        hint = f"Did you mean {near[0]}?" if near else f"Known here: {', '.join(sorted(kinds))}."
        yield Wrong(_join(path, name), "is not known", hint)
    for field in msgspec.structs.fields(table):
        if field.name in told:
            yield from _problems(told[field.name], kinds[field.name], _join(path, field.name))
        elif field.required:
            yield Wrong(_join(path, field.name), "is missing", _expectation(kinds[field.name]))


def _value_problem(told: Any, expected: Any, path: str) -> Iterator[Wrong]:
    try:
        msgspec.convert(told, expected)
    except msgspec.ValidationError as error:
        reason = str(error).split(" - at ")[0]
        yield Wrong(path, f"{told!r} is not valid ({reason})", _expectation(expected))


def _expectation(expected: Any) -> str:
    notes = [meta.description for meta in _metas(expected) if meta.description]
    choices = [str(choice) for choice in _choices(expected)]
    return " ".join([*notes, f"One of: {', '.join(choices)}." if choices else ""]).strip() or "Set it."


def _choices(expected: Any) -> list[Any]:
    kind = _bare(expected)
    if get_origin(kind) is list:
        return _choices(get_args(kind)[0])
    return [a for a in get_args(kind) if isinstance(a, str)]


def _metas(expected: Any) -> list[msgspec.Meta]:
    metadata = getattr(expected, "__metadata__", ())
    return [meta for meta in metadata if isinstance(meta, msgspec.Meta)]


def _bare(expected: Any) -> Any:
    while get_origin(expected) is Annotated:
        expected = get_args(expected)[0]
    if get_origin(expected) in (Union, types.UnionType):
        return next(arg for arg in get_args(expected) if arg is not type(None))
    return expected


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _contradictions(site: Site) -> Iterator[Wrong]:
    """What no single value shows."""
    names = [server.name for server in site.servers]
    for place, server in enumerate(site.servers):
        where = f"servers[{place}]"
        if names.index(server.name) != place:
            yield Wrong(f"{where}.name", f"{server.name!r} is another server's name", "Give each its own.")
        later = sorted(set(server.roles) - set(READY_ROLES))
        if later:
            yield Wrong(
                f"{where}.roles",
                f"{', '.join(later)} cannot be set up yet",
                f"Use: {', '.join(READY_ROLES)}.",
            )
        if server.private_address and not _is_private(server.private_address):
            yield Wrong(
                f"{where}.private_address", f"{server.private_address!r} is no private address",
                "Name the address that only the site's own servers reach, or leave it out.",
            )  # fmt: skip
    for role in ("proxy", "app", "worker", "database"):
        count = len(site.with_role(role))
        if count == 0:
            yield Wrong("servers", f"no server has the role {role}", "Add it to a server's roles.")
        elif count > 1 and role in ("proxy", "database"):
            yield Wrong("servers", f"{count} servers have the role {role}", "Give it to one.")
    yield from _deaf(site)


def _deaf(site: Site) -> Iterator[Wrong]:
    """Alerts that nobody would hear."""
    monitors = site.with_role("monitor")
    for place, receiver in enumerate(site.alerts):
        if receiver.kind == "email" and not receiver.to:
            yield Wrong(f"alerts[{place}].to", "is missing", "Name the address that alerts go to.")
        if receiver.kind == "email" and monitors and not (site.smtp.host and site.smtp.sender):
            yield Wrong("smtp", "names no host and sender", "Name the server that e-mail goes through.")
    if len(monitors) > 1:
        yield Wrong("servers", f"{len(monitors)} servers have the role monitor", "Give it to one.")
    for server in monitors:
        if not {"app", "worker"} & set(server.roles):
            place = site.servers.index(server)
            yield Wrong(
                f"servers[{place}].roles", "a monitor alone reaches nothing yet",
                "Give the role to a server with app or worker.",
            )  # fmt: skip
    if monitors and not site.alerts:
        yield Wrong("alerts", "the role monitor is given, and nobody hears", "Name a receiver: [[alerts]].")


def _is_private(text: str) -> bool:
    try:
        return ip_address(text).is_private
    except ValueError:
        return False
