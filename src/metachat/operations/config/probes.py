"""One short conversation with each kind of server, as far as the answer to the credentials."""

import asyncio
import importlib
import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BufferedRWPair
from urllib.parse import unquote

from metachat.foundation.settings.addresses import ServiceAddress
from metachat.operations.config import amqp

# Our name towards a mail server; asking the system for one may take longer than everything else.
_OUR_NAME = "metachat.invalid"
_LONGEST_LINE = 4096


class Unreached(Exception):
    """A service answered, but not as it should: in its words, with the next move."""

    def __init__(self, words: str, fix: str) -> None:
        self.words, self.fix = words, fix
        super().__init__(words)


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail server and the account there."""

    host: str
    port: int
    tls: str
    user: str
    password: str = field(repr=False)


def postgres(dsn: str, seconds: float) -> None:
    """Sign in to Postgres, with the driver that the platform uses; raises Unreached, OSError."""
    # Imported here: it takes as long as all the rest of a check.
    asyncpg = importlib.import_module("asyncpg")

    async def sign_in() -> None:
        connection = await asyncpg.connect(dsn, timeout=seconds)
        await connection.close(timeout=seconds)

    try:
        asyncio.run(sign_in())
    except asyncpg.PostgresError as error:
        raise Unreached(str(error), "Correct the role, its password or the database.") from None
    except asyncpg.InterfaceError as error:
        raise Unreached(str(error), "Correct the address.") from None


def redis(address: ServiceAddress, seconds: float) -> None:
    """Sign in to Redis or Valkey and ping it; raises Unreached, OSError."""
    with _connected(address, seconds) as stream:
        if address.password:
            named = (address.user, address.password) if address.user else (address.password,)
            _redis_command(stream, "AUTH", *named)
        _redis_command(stream, "PING")
        if address.path:
            _redis_command(stream, "SELECT", address.path)


def _redis_command(stream: BufferedRWPair, *words: str) -> None:
    parts = [word.encode() for word in words]
    stream.write(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
    stream.flush()
    answer = stream.readline(_LONGEST_LINE)
    if not answer:
        raise Unreached("it hung up", "Is this a Redis or Valkey server, and is TLS (rediss://) right?")
    if answer.startswith(b"-"):
        said = answer[1:].decode(errors="replace").strip()
        raise Unreached(said, "Correct the password, or the number of the database, in the URL.")
    if answer.rstrip() not in (b"+OK", b"+PONG"):
        raise Unreached("it doesn't speak the protocol of Redis", "Correct host and port.")


def rabbitmq(address: ServiceAddress, seconds: float) -> None:
    """Open a connection to RabbitMQ; raises Unreached, OSError."""
    with _connected(address, seconds) as stream:
        try:
            amqp.open_connection(stream, address.user, address.password, unquote(address.path) or "/")
        except amqp.Closed as error:
            raise Unreached(str(error), "Correct user, password and virtual host.") from None
        except amqp.NotSpoken as error:
            raise Unreached(str(error), "Correct host and port; is TLS (amqps://) right?") from None


def mail(account: Mail, seconds: float) -> None:
    """Greet a mail server, encrypt as told, and sign in to the account if any; raises Unreached, OSError."""
    try:
        with _mail_server(account, seconds) as server:
            server.ehlo()
            if account.tls == "starttls":
                server.starttls(context=ssl.create_default_context())
                server.ehlo()
            if account.user:
                server.login(account.user, account.password)
    except smtplib.SMTPAuthenticationError as error:
        raise Unreached(
            f"it refused the account ({error.smtp_code})", "Correct the user or the password."
        ) from None
    except smtplib.SMTPNotSupportedError as error:
        raise Unreached(str(error), "Set METACHAT_SMTP_TLS to what the server offers.") from None
    except smtplib.SMTPException as error:
        fix = "Is this a mail server, and is METACHAT_SMTP_TLS right for its port?"
        raise Unreached(str(error) or "it hung up", fix) from None


def _mail_server(account: Mail, seconds: float) -> smtplib.SMTP:
    if account.tls == "implicit":
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(account.host, account.port, _OUR_NAME, timeout=seconds, context=context)
    return smtplib.SMTP(account.host, account.port, _OUR_NAME, timeout=seconds)


@contextmanager
def _connected(address: ServiceAddress, seconds: float) -> Iterator[BufferedRWPair]:
    host, port = address.hosts[0]
    plain = socket.create_connection((host, port), timeout=seconds)
    with plain:
        if not address.encrypted:
            yield plain.makefile("rwb")
            return
        with ssl.create_default_context().wrap_socket(plain, server_hostname=host) as encrypted:
            yield encrypted.makefile("rwb")
