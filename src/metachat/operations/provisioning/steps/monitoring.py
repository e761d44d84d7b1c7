"""Prometheus, Alertmanager and the watch: what measures, who hears, and who notices when these are dead."""

import hashlib
import json
from io import BytesIO
from pathlib import Path

from pyinfra.api.operation import OperationMeta
from pyinfra.operations import apt, files, server, systemd

from metachat.foundation.settings import Secret
from metachat.operations.monitoring import alertmanager, ports, prometheus, rules, settings
from metachat.operations.monitoring.receivers.email import Post
from metachat.operations.monitoring.receivers.opening import secret_of
from metachat.operations.provisioning.changes import any_of
from metachat.operations.provisioning.changes import changes as changes_it
from metachat.operations.provisioning.order import Order
from metachat.operations.provisioning.placing import place
from metachat.operations.provisioning.steps.application import instances
from metachat.operations.provisioning.templates import render

_SERVICES = ("prometheus", "prometheus-alertmanager", "prometheus-node-exporter")
_FOLDER = "/etc/prometheus"
_HANDED = Path("/run/credentials/prometheus-alertmanager.service")
_UNITS = "/etc/systemd/system"


def set_up(order: Order) -> None:
    """Bring what measures and tells; the units' settings first, or Debian's would listen everywhere."""
    files.directory(name="folder of the monitors", path=_FOLDER, mode="755", user="root", group="root")
    configured = _configured(order)
    confined = {unit: _confined(order, unit) for unit in _SERVICES}
    workers = _workers(order)
    watch = place("metachat-watch.service", _watch(order), f"{_UNITS}/metachat-watch.service", "600")
    units = any_of(*confined.values(), *workers.values(), watch)
    systemd.daemon_reload(name="units of the monitors are read", _if=units)
    apt.packages(name="monitors", packages=list(_SERVICES), no_recommends=True)
    for number, shown in workers.items():
        restart = [f"systemctl restart metachat-worker@{number}"]
        server.shell(name=f"worker {number} shows itself", commands=restart, _if=any_of(shown))
    for unit in _SERVICES:
        _runs(unit, [confined[unit]], configured.get(unit, []))
    heard = place("who hears", _heard(order), "/etc/metachat/alerts.toml", "600")
    _runs("metachat-watch", [watch, heard], [])


def _runs(unit: str, anew: list[OperationMeta], read: list[OperationMeta]) -> None:
    """Have a unit run with what was placed: begun anew for its settings, told to read its configuration."""
    started = systemd.service(name=f"{unit} is up", service=unit, running=True, enabled=True)
    again, told = any_of(*anew), any_of(*read) if read else lambda: False
    systemd.service(
        name=f"{unit} begins anew", service=unit, restarted=True,
        _if=lambda: again() and not changes_it(started),
    )  # fmt: skip
    if read:
        systemd.service(
            name=f"{unit} takes its settings", service=unit, reloaded=True,
            _if=lambda: told() and not again() and not changes_it(started),
        )  # fmt: skip


def _configured(order: Order) -> dict[str, list[OperationMeta]]:
    """Place what Prometheus and Alertmanager read; neither holds a secret."""
    targets = {"metachat": _targets(order), "node": [f"127.0.0.1:{ports.NODE}"]}
    scrapes = prometheus.render(
        targets, Path(_FOLDER, "metachat-rules.yml"), alertmanager=f"127.0.0.1:{ports.ALERTMANAGER}",
        site=order.site.domain,
    )  # fmt: skip
    beats = [alertmanager.Heartbeat(address=f"http://127.0.0.1:{ports.BEATS}/")]
    if order.site.monitor.heartbeat:
        beats.append(alertmanager.Heartbeat(file=_HANDED / order.site.monitor.heartbeat))
    routes = alertmanager.render(order.site.alerts, _HANDED, beats, post=_post(order))
    speaking = rules.render(base=order.site.monitor.runbooks)
    return {
        "prometheus": [
            place("what is measured", _bytes(scrapes), f"{_FOLDER}/metachat.yml"),
            place("rules of alerts", _bytes(speaking), f"{_FOLDER}/metachat-rules.yml"),
        ],
        "prometheus-alertmanager": [
            place("routes of alerts", _bytes(routes), f"{_FOLDER}/metachat-alertmanager.yml")
        ],
    }


def _targets(order: Order) -> list[str]:
    """The processes of this server; each shows itself to its own machine only."""
    roles = set(order.server.roles)
    api = [f"127.0.0.1:81{number}" for number in instances(order)]
    workers = [f"127.0.0.1:{ports.of_worker(number)}" for number in _numbers(order)]
    return [*api, *workers] if roles & {"app", "worker"} else []


def _numbers(order: Order) -> range:
    return range(1, order.site.sizes.workers + 1)


def _workers(order: Order) -> dict[int, OperationMeta]:
    """Give each worker its port."""
    return {
        number: place(
            f"port of worker {number}", render("metachat-worker-metrics.conf", port=ports.of_worker(number)),
            f"{_UNITS}/metachat-worker@{number}.service.d/metrics.conf",
        )
        for number in _numbers(order)
    }  # fmt: skip


def _confined(order: Order, unit: str) -> OperationMeta:
    handed = [(line.name, secret_of(line)) for line in order.site.alerts if line.kind != "email"]
    if order.site.monitor.heartbeat:
        handed.append((order.site.monitor.heartbeat, order.site.monitor.heartbeat))
    if order.site.smtp.user:
        handed.append(("smtp_password", "smtp_password"))
    mark = _mark(order, [secret for _, secret in handed])
    content = render(f"{unit}.service.conf", ports=ports, credentials=handed, mark=mark)
    return place(f"{unit} is confined", content, f"{_UNITS}/{unit}.service.d/metachat.conf", "600")


def _watch(order: Order) -> BytesIO:
    # The address of the dead-man's switch is Alertmanager's alone.
    named = [secret_of(line) for line in order.site.alerts if line.kind != "email"]
    secrets = [*named, *(["smtp_password"] if order.site.smtp.user else [])]
    return render(
        "metachat-watch.service", site=order.site, server=order.server, ports=ports, word=_word,
        secrets=secrets, mark=_mark(order, secrets),
    )  # fmt: skip


def _mark(order: Order, secrets: list[str]) -> str:
    """Stands in a unit that only root reads, so that it begins anew when one of its credentials changes."""
    told = "\n".join(order.secrets[name] for name in secrets).encode()
    return hashlib.sha256(told).hexdigest()[:12]


def _heard(order: Order) -> BytesIO:
    return _bytes(settings.written(order.site.alerts))


def _post(order: Order) -> Post | None:
    smtp = order.site.smtp
    if not smtp.host:
        return None
    return Post(smtp.host, smtp.port, smtp.sender, smtp.user, Secret(""), smtp.tls)


def _word(text: str) -> str:
    """A word of a unit's command line, whatever is in it."""
    return json.dumps(text, ensure_ascii=False).replace("%", "%%").replace("$", "$$")


def _bytes(text: str) -> BytesIO:
    return BytesIO(text.encode())
