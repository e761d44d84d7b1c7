"""From the configuration's lines to receivers; secrets are read from the store by name."""

from collections.abc import Callable, Iterable, Mapping
from typing import cast

from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.settings import Secret
from metachat.foundation.settings.declared import DECLARED
from metachat.foundation.settings.sources import of_process
from metachat.operations.monitoring.receivers.contract import Receiver as Contract
from metachat.operations.monitoring.receivers.email import Mail, Post, Tls
from metachat.operations.monitoring.receivers.pagerduty import PagerDuty
from metachat.operations.monitoring.receivers.slack import Slack
from metachat.operations.monitoring.receivers.webhook import Webhook
from metachat.operations.secrets import Store
from metachat.operations.site import Receiver


class NoMailServer(Refusal):
    """Alerts by e-mail need the settings smtp_host and smtp_from."""

    code, kind = "no_mail_server", Kind.INVALID


def open_all(lines: Iterable[Receiver], store: Store, environ: Mapping[str, str]) -> list[Contract]:
    """Open every receiver; raises StoreRefusal, NoMailServer."""
    return [open_one(line, store, environ) for line in lines]


def open_one(line: Receiver, store: Store, environ: Mapping[str, str]) -> Contract:
    """Open a receiver; raises StoreRefusal, NoMailServer."""
    if line.kind == "email":
        return Mail(line.name, line.to, post_of(environ))
    return _BY_ADDRESS[line.kind](line, store.get(secret_of(line)))


def secret_of(line: Receiver) -> str:
    """The name of the secret that holds a receiver's address or key."""
    return line.secret or f"alert_{line.name.replace('-', '_')}"


def post_of(environ: Mapping[str, str]) -> Post:
    """The e-mail server of the settings; raises NoMailServer."""
    gathered = of_process(environ)
    told = {name: gathered.text(name) or DECLARED[name].default or "" for name in _SMTP}
    if not told["smtp_host"] or not told["smtp_from"]:
        raise NoMailServer("METACHAT_SMTP_HOST, METACHAT_SMTP_FROM")
    return Post(
        told["smtp_host"], int(told["smtp_port"]), told["smtp_from"], told["smtp_user"],
        Secret(told["smtp_password"]), cast("Tls", told["smtp_tls"]),
    )  # fmt: skip


_SMTP = ("smtp_host", "smtp_port", "smtp_from", "smtp_user", "smtp_password", "smtp_tls")

_BY_ADDRESS: Mapping[str, Callable[[Receiver, Secret], Contract]] = {
    "slack": lambda line, secret: Slack(line.name, secret),
    "pagerduty": lambda line, secret: PagerDuty(line.name, secret, line.endpoint),
    "webhook": lambda line, secret: Webhook(line.name, secret),
}
