"""The listening socket: bound once by the supervisor, shared by all api processes."""

import errno
import importlib
import socket

from metachat.foundation.errors import Kind, Refusal

BACKLOG = 2048


class PortTaken(Refusal):
    """The port is taken."""

    code = "port_taken"
    kind = Kind.UNAVAILABLE
    exit_code = 75  # EX_TEMPFAIL


class CannotListen(Refusal):
    """The platform cannot listen on this address."""

    code = "cannot_listen"
    kind = Kind.INVALID


def listen(host: str, port: int) -> socket.socket:
    """Bind and listen; raises PortTaken, CannotListen."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise CannotListen(f"{host} is not an address of this machine. Try --host 127.0.0.1.") from error
    bound = socket.socket(family, kind, protocol)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        raise _refusal(host, port, error) from error
    bound.setblocking(False)
    return bound


def _refusal(host: str, port: int, error: OSError) -> Refusal:
    if error.errno == errno.EADDRINUSE:
        return PortTaken(
            f"Port {port} on {host} is used by {_holder(port)}."
            f" Stop that, or choose another port with --port {port + 1 if port < 65535 else 8080}."
        )
    if error.errno == errno.EACCES:
        return CannotListen(f"Port {port} needs a privilege that this account lacks. Try --port 8080.")
    return CannotListen(f"{host}, port {port}: {error.strerror}. Try --host 127.0.0.1.")


def _holder(port: int) -> str:
    # Loaded only to explain the refusal: the supervisor that runs for months has no use for it.
    psutil = importlib.import_module("psutil")
    try:
        found = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return "another program"
    pids = [c.pid for c in found if c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port]
    if not pids or pids[0] is None:
        return "another program"
    try:
        return f"process {pids[0]} ({psutil.Process(pids[0]).name()})"
    except psutil.NoSuchProcess:
        return "another program"
