"""What is wrong only when settings are seen together."""

from collections.abc import Iterable, Mapping

from metachat.foundation.settings import addresses
from metachat.foundation.settings.declaration import Mode, variable
from metachat.foundation.settings.declared import DECLARED
from metachat.foundation.settings.problems import Fault, Problem
from metachat.foundation.settings.rings import keys_in

_SERVICES = {
    "database_url": addresses.postgres,
    "worker_database_url": addresses.postgres,
    "owner_database_url": addresses.postgres,
    "redis_url": addresses.redis,
    "rabbitmq_url": addresses.rabbitmq,
}


def problems(texts: Mapping[str, str], mode: Mode) -> list[Problem]:
    """Tell what doesn't fit together; `texts` are the values that the process reads, empty where none is."""
    found = [*_mail(texts), *_embedder(texts)]
    if mode == "production":
        found += [*_open_mail(texts), *_shared(texts)]
    return found


def _mail(texts: Mapping[str, str]) -> Iterable[Problem]:
    user, password = texts.get("smtp_user", ""), texts.get("smtp_password", "")
    if bool(user) != bool(password):
        missing, given = ("smtp_user", "smtp_password") if password else ("smtp_password", "smtp_user")
        fix = f"Set {variable(missing)}, or take {variable(given)} out."
        yield Problem(variable(missing), f"is missing beside {variable(given)}", "both or none", fix)


def _open_mail(texts: Mapping[str, str]) -> Iterable[Problem]:
    local = texts.get("smtp_host") in ("localhost", "127.0.0.1", "::1")
    if texts.get("smtp_tls") == "none" and texts.get("smtp_password") and not local:
        said = "sends the password of the e-mail account in the clear"
        yield Problem(variable("smtp_tls"), said, "starttls or implicit", "Set it to starttls.")


def _embedder(texts: Mapping[str, str]) -> Iterable[Problem]:
    kind = texts.get("embedder")
    if kind not in ("openai", "ollama"):
        return
    for name in ("embedder_url", "embedder_model"):
        if not texts.get(name):
            fix = f"Set {variable(name)}, for example {DECLARED[name].example}."
            said = f"is missing, which {variable('embedder')}={kind} needs"
            yield Problem(variable(name), said, DECLARED[name].expected, fix)


def _shared(texts: Mapping[str, str]) -> Iterable[Problem]:
    """One value for two secrets: whoever learns one of them has the other."""
    secrets = {name: text for name, text in texts.items() if text and DECLARED[name].secret}
    for name, text in secrets.items():
        keys = _keys(text)
        mine = keys | {_password(name, text)} - {""}
        others = [
            variable(other)
            for other, its in secrets.items()
            if other != name and (_keys(its) & mine or (its != text and _password(other, its) in keys))
        ]
        if others:
            fix = "Make one of its own with `metachat secrets generate`, or with: openssl rand -base64 48"
            said = f"has the same value as {' and '.join(others)}"
            yield Problem(variable(name), said, "a value of its own", fix)


def _keys(text: str) -> set[str]:
    try:
        return set(keys_in(text))
    except Fault:
        return {text}  # malformed, which is told by whoever reads it


def _password(name: str, text: str) -> str:
    if name not in _SERVICES:
        return ""
    try:
        return _SERVICES[name](text).password
    except Fault:
        return ""
