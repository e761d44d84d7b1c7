"""A release on a server: its code in a folder of its own, and the environment that its lock asks for."""

from collections.abc import Callable
from io import BytesIO

from pyinfra import host
from pyinfra.api.operation import OperationMeta
from pyinfra.facts.files import File
from pyinfra.operations import files, server

from metachat.operations.provisioning.order import Order
from metachat.operations.provisioning.placing import place

_HOME = "/opt/metachat"


def unpack(order: Order) -> OperationMeta:
    """Bring the release and make it the current one."""
    release = f"{_HOME}/releases/{order.release}"
    environment = f"{_HOME}/environments/{order.environment}"
    # Readable for the application, whatever mask new files of root's have.
    for folder in (
        _HOME,
        f"{_HOME}/releases",
        release,
        f"{release}/bin",
        f"{_HOME}/environments",
        f"{_HOME}/static",
    ):
        files.directory(name=f"folder {folder}", path=folder, mode="755", user="root", group="root")
    _make_environment(order, environment)
    place("archive", order.archive, f"{release}/release.tar")
    extract = f"umask 022; tar -xf {release}/release.tar -C {release} && touch {release}/complete"
    packed = _absent(f"{release}/complete")
    server.shell(name="release is unpacked", commands=[extract], _if=packed)
    place("launcher", BytesIO(_launcher(release, environment)), f"{release}/bin/metachat", "755")
    # Those of earlier releases stay: their pages are still open in browsers.
    laid_out = f"umask 022; {release}/bin/metachat static-files {_HOME}/static && touch {release}/laid-out"
    server.shell(name="pages' files", commands=[laid_out], _if=_absent(f"{release}/laid-out"))
    return files.link(name="current release", path=f"{_HOME}/current", target=release)


def _make_environment(order: Order, environment: str) -> None:
    place("lock", order.lock, f"{environment}.lock")
    install = (
        f"umask 022; {environment}/bin/pip install -q --no-cache-dir --disable-pip-version-check"
        f" --require-hashes -r {environment}.lock"
    )
    make = f"umask 022; rm -rf {environment} && python3 -m venv {environment}"
    complete = f"{environment}/complete"
    server.shell(name="environment", commands=[make, install, f"touch {complete}"], _if=_absent(complete))


def _launcher(release: str, environment: str) -> bytes:
    return (
        f"#!/bin/sh\nexport PYTHONPATH={release} PYTHONDONTWRITEBYTECODE=1\n"
        f'exec {environment}/bin/python -m metachat "$@"\n'
    ).encode()


def _absent(path: str) -> Callable[[], bool]:
    return lambda: not host.get_fact(File, path=path)
