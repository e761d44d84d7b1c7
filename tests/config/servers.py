"""Servers on loopback that answer a check as real ones do, or as broken ones do."""

import base64
import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

Talk = Callable[[socket.socket], None]

_STARTING_SECONDS = 90.0


@contextlib.contextmanager
def serving(talk: Talk) -> Iterator[int]:
    """A server that talks to each caller in a thread; gives its port."""
    listening = socket.create_server(("127.0.0.1", 0))

    def converse(caller: socket.socket) -> None:
        with caller, contextlib.suppress(OSError, UnicodeDecodeError):
            talk(caller)

    def accept() -> None:
        while True:
            try:
                caller, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=converse, args=(caller,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        # Wakes the accept, which a mere close doesn't.
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def silent(caller: socket.socket) -> None:
    """Takes everything and says nothing, until the caller goes."""
    while caller.recv(4096):
        pass


def dripping(caller: socket.socket) -> None:
    """Says a byte every tenth of a second, so that no single wait ever ends."""
    stop = time.monotonic() + 20
    while time.monotonic() < stop:
        caller.sendall(b"2")
        time.sleep(0.1)


def hangs_up(caller: socket.socket) -> None:
    """Goes at once."""


def http(caller: socket.socket) -> None:
    """Speaks another protocol."""
    caller.recv(4096)
    caller.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def mail(password: str, context: ssl.SSLContext | None) -> Talk:
    """A mail server that knows one password and offers STARTTLS when it has a certificate."""

    def talk(caller: socket.socket) -> None:
        stream = caller.makefile("rwb")

        def say(line: str) -> None:
            stream.write(line.encode() + b"\r\n")
            stream.flush()

        say("220 mail.test ESMTP")
        while line := stream.readline().decode().strip():
            verb = line.upper()
            if verb.startswith("EHLO"):
                say("250-mail.test")
                say(
                    "250 AUTH PLAIN"
                    if context is None or isinstance(caller, ssl.SSLSocket)
                    else "250 STARTTLS"
                )
            elif verb == "STARTTLS" and context is not None:
                say("220 go on")
                caller = context.wrap_socket(caller, server_side=True)
                stream = caller.makefile("rwb")
            elif verb.startswith("AUTH PLAIN"):
                say("235 welcome" if line.split()[-1] == _plain("chat", password) else f"535 not {line}")
            else:
                say("221 bye" if verb == "QUIT" else "502 what?")

    return talk


def _plain(user: str, password: str) -> str:
    return base64.b64encode(f"\0{user}\0{password}".encode()).decode()


@contextlib.contextmanager
def redis_server(folder: Path, password: str) -> Iterator[int]:
    """A real Redis or Valkey."""
    port = closed_port()
    options = {"port": port, "bind": "127.0.0.1", "requirepass": password, "dir": folder, "save": '""'}
    configuration = folder / "redis.conf"
    configuration.write_text("".join(f"{name} {value}\n" for name, value in options.items()))
    # Its name says what a program is that serves, checks files and more.
    with _running(["redis-server", str(configuration)], folder, {}, port, executable=_redis()):
        yield port


@contextlib.contextmanager
def rabbitmq_server(folder: Path, password: str) -> Iterator[int]:
    """A real RabbitMQ with the user `chat`; its own name server goes with it."""
    port, names, nodes = closed_port(), closed_port(), closed_port()
    configuration = folder / "rabbitmq.conf"
    configuration.write_text(
        f"listeners.tcp.1 = 127.0.0.1:{port}\ndefault_user = chat\ndefault_pass = {password}\n"
        "default_permissions.configure = .*\ndefault_permissions.read = .*\ndefault_permissions.write = .*\n"
    )
    environment = {
        "HOME": str(folder), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8",
        "ERL_EPMD_PORT": str(names), "ERL_EPMD_ADDRESS": "127.0.0.1", "RABBITMQ_DIST_PORT": str(nodes),
        "RABBITMQ_NODENAME": f"check{port}@localhost", "RABBITMQ_CONFIG_FILE": str(configuration),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"), "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"), "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
    }  # fmt: skip
    try:
        with _running([_RABBITMQ], folder, environment, port):
            yield port
    finally:
        subprocess.run(["epmd", "-port", str(names), "-kill"], capture_output=True, check=False)


_RABBITMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server"


def has_redis() -> bool:
    """Whether a real Redis or Valkey is installed."""
    return _redis() is not None


def _redis() -> str | None:
    names = ("valkey-server", "redis-server", "redis-check-rdb")
    return next((found for name in names if (found := shutil.which(name))), None)


def has_rabbitmq() -> bool:
    """Whether a real RabbitMQ is installed."""
    return Path(_RABBITMQ).exists()


@contextlib.contextmanager
def _running(
    argv: list[str], folder: Path, environment: dict[str, str], port: int, executable: str | None = None
) -> Iterator[None]:
    output = (folder / "output.log").open("wb")
    with output, subprocess.Popen(
        argv, executable=executable, env=environment or None, cwd=folder, stdin=subprocess.DEVNULL,
        stdout=output, stderr=output,
    ) as server:  # fmt: skip
        try:
            deadline = time.monotonic() + _STARTING_SECONDS
            while not _answers(port):
                assert server.poll() is None, (folder / "output.log").read_text()[-2000:]
                assert time.monotonic() < deadline, (folder / "output.log").read_text()[-2000:]
                time.sleep(0.1)
            yield
        finally:
            server.terminate()
            server.wait(timeout=30)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
