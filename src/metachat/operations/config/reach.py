"""Whether the configured services answer, with the given credentials; all at once, each in bounded time."""

import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from metachat.foundation.settings import DECLARED, Problem, Process, Secret, addresses, variable
from metachat.operations.config import probes
from metachat.operations.config.probes import Mail, Unreached

SECONDS = 3.0
_LONGEST_SAID = 200
_DATABASES = ("database_url", "worker_database_url", "owner_database_url")


@dataclass(frozen=True, slots=True)
class Service:
    """A service to reach: under which setting, where, how, and what must not be repeated from its answers."""

    name: str
    place: str
    probe: Callable[[], None]
    secrets: tuple[str, ...] = field(repr=False)


def reach(values: Mapping[str, Any], process: Process | None) -> list[Problem]:
    """Reach each service that is given and that the process reads; `values` are valid settings by name."""
    found = [service for service in _services(values) if DECLARED[service.name].is_read_by(process)]
    answers: dict[str, Problem | None] = {}
    deadline = time.monotonic() + SECONDS
    # Daemons, since nothing ends the wait for a silent name server: they must not hold up our own end.
    threads = [threading.Thread(target=_ask, args=(service, answers), daemon=True) for service in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    late = f"it did not answer within {SECONDS:.0f} s"
    fix = "Correct host and port, and whether TLS is spoken there; look for a firewall on the way."
    told = [answers[one.name] if one.name in answers else _problem(one, late, fix) for one in found]
    return [problem for problem in told if problem is not None]


def _services(values: Mapping[str, Any]) -> Iterator[Service]:
    for name in _DATABASES:
        if (url := _text(values, name)) is not None:
            address = addresses.postgres(url)
            yield Service(name, address.place, _bind(probes.postgres, url), (url, address.password))
    for name, take_apart, probe in (
        ("redis_url", addresses.redis, probes.redis),
        ("rabbitmq_url", addresses.rabbitmq, probes.rabbitmq),
    ):
        if (url := _text(values, name)) is not None:
            address = take_apart(url)
            yield Service(name, address.place, _bind(probe, address), (url, address.password))
    if values.get("smtp_host"):
        account = Mail(
            values["smtp_host"], values["smtp_port"], values["smtp_tls"], values["smtp_user"],
            values["smtp_password"].reveal(),
        )  # fmt: skip
        place = f"{account.host}:{account.port}"
        yield Service("smtp_host", place, _bind(probes.mail, account), (account.password,))


def _text(values: Mapping[str, Any], name: str) -> str | None:
    value = values.get(name)
    return value.reveal() if isinstance(value, Secret) else None


def _bind(probe: Callable[[Any, float], None], whom: Any) -> Callable[[], None]:
    return lambda: probe(whom, SECONDS)


def _ask(service: Service, answers: dict[str, Problem | None]) -> None:
    try:
        service.probe()
    except Unreached as error:
        answers[service.name] = _problem(service, error.words, error.fix)
    except TimeoutError:
        return  # told by whoever waits for us
    except ssl.SSLCertVerificationError as error:
        fix = "Give the server a certificate for this host name that this machine trusts."
        answers[service.name] = _problem(service, f"its certificate is refused: {error.verify_message}", fix)
    except ssl.SSLError as error:
        answers[service.name] = _problem(service, f"no TLS ({error.reason})", "Does this port speak TLS?")
    except OSError as error:
        answers[service.name] = _problem(
            service, _reason(error), "Start the service, or correct host and port."
        )
    except Exception as error:  # the top of a thread: whatever it is, it must be told
        answers[service.name] = _problem(service, type(error).__name__, "Correct the address.")
    else:
        answers[service.name] = None


def _reason(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    # Some give an address for a reason where the number says it in words.
    return os.strerror(error.errno) if error.errno else str(error)


def _problem(service: Service, words: str, fix: str) -> Problem:
    return Problem(
        variable(service.name), f"{service.place} cannot be used: {_harmless(words, service.secrets)}",
        f"a service that lets us in within {SECONDS:.0f} s", fix,
    )  # fmt: skip


def _harmless(words: str, secrets: tuple[str, ...]) -> str:
    """A server's words, without what it may have repeated of our secrets and without control characters."""
    for secret in secrets:
        if secret:
            words = words.replace(secret, "•••")
    plain = "".join(letter if letter.isprintable() else " " for letter in words)
    return " ".join(plain.split())[:_LONGEST_SAID]
