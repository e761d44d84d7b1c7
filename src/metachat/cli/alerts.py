"""`metachat alerts`: who hears of alerts, whether they do, and what is on."""

import contextlib
import json
import os
import re
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from metachat.cli.asking import asked_secret
from metachat.cli.up import Data
from metachat.foundation.errors import Invalid, Refusal
from metachat.foundation.settings import Secret, data_dir
from metachat.operations import journal, site
from metachat.operations.monitoring import receivers as far
from metachat.operations.monitoring import rules, settings, silences
from metachat.operations.monitoring.receivers import Message, Receiver
from metachat.operations.provisioning import furnishing
from metachat.operations.secrets import Place, SecretMissing, open_store, place_of

app = typer.Typer(
    no_args_is_help=True, help="Who hears of alerts, whether they do, and what is on.",
    rich_markup_mode=None, add_completion=False,
)  # fmt: skip

SiteFile = Annotated[Path | None, typer.Option("--site", help="The site file, in place of alerts.toml.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Alertmanager = Annotated[str, typer.Option(help="Where Alertmanager answers.")]

NOT_DELIVERED = 1
_UNITS = {"m": 60, "h": 3600, "d": rules.DAY}


class NotALength(Invalid):
    """A time is written like 30m, 2h or 1d, and is at most 30d."""

    code = "not_a_length"


@app.command()
def add(
    kind: Annotated[str, typer.Argument(help="slack, pagerduty, email or webhook.")],
    name: Annotated[str, typer.Option(help="What to call it.", show_default="the kind")] = "",
    to: Annotated[str, typer.Option(help="The e-mail address, for email.")] = "",
    endpoint: Annotated[str, typer.Option(help="PagerDuty's address, where it isn't the usual one.")] = "",
    secret_file: Annotated[
        Path | None, typer.Option(help="The file with its address or key; - is standard input.")
    ] = None,
    data: Data = None,
) -> None:
    """Add a receiver: its line in alerts.toml, its address or key in the store of secrets.

    \b
    Examples:
      metachat alerts add slack
      metachat alerts add pagerduty --secret-file key.txt
      metachat alerts add email --to ops@example.com
    """
    told = {"name": name or kind, "kind": kind, "to": to, "endpoint": endpoint}
    line = settings.checked(told)
    if kind == "email" and not to:
        raise settings.AlertsFileWrong("--to is missing: the address that alerts go to.")
    place = _place(data)
    if line.kind != "email":
        question = "Routing key" if kind == "pagerduty" else "Address of the webhook"
        line = replace_secret(line)
        store, value = open_store(place), Secret(asked_secret(question, secret_file))
        if any(one.name == line.name for one in settings.receivers(place.data_dir)):
            raise settings.ReceiverExists(line.name)
        store.put(line.secret, value)
    settings.add(place.data_dir, line)
    journal.record(place.data_dir, "alerts add", line.name)
    print(f"Added {line.name}. Try it: metachat alerts test --receiver {line.name}")


def replace_secret(line: site.Receiver) -> site.Receiver:
    """The same receiver with the name of its secret written out."""
    return site.Receiver(
        name=line.name, kind=line.kind, secret=far.secret_of(line), to=line.to, endpoint=line.endpoint
    )


@app.command()
def remove(name: Annotated[str, typer.Argument(help="The receiver.")], data: Data = None) -> None:
    """Take a receiver out of alerts.toml, and its secret out of the store."""
    place = _place(data)
    gone = settings.remove(place.data_dir, name)
    if gone.kind != "email":
        with contextlib.suppress(SecretMissing):
            open_store(place).delete(far.secret_of(gone))
    journal.record(place.data_dir, "alerts remove", name)
    print(f"Removed {name}.")


@app.command("list")
def list_alerts(
    site_file: SiteFile = None, alertmanager: Alertmanager = silences.ALERTMANAGER, data: Data = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Tell who hears of alerts, what is on, and what is silenced."""
    where = _place(data).data_dir
    lines, on = settings.receivers(where, site_file), silences.firing(alertmanager)
    silenced = silences.kept(where)
    if as_json:
        told = {
            "receivers": [{"name": one.name, "kind": one.kind} for one in lines],
            "firing": None if on is None else [asdict(one) for one in on],
            "silences": [asdict(one) for one in silenced],
        }
        print(json.dumps(told))
        return
    for one in lines:
        print(f"receiver  {one.name:<20} {one.kind}")
    if not lines:
        print("NOBODY hears of alerts. Add somebody: metachat alerts add slack")
    print("Alertmanager does not run here." if on is None else f"{len(on)} alerts are on.")
    for alert in on or []:
        print(f"{'muted' if alert.muted else 'ON':<9} {alert.alert:<20} since {alert.since}: {alert.summary}")
    for silence in silenced:
        left = (silence.until - time.time()) / 60
        print(f"silenced  {silence.alert:<20} for {left:.0f} more minutes by {silence.who}: {silence.reason}")


@app.command("test")
def send_trial(
    receiver: Annotated[str | None, typer.Option(help="Only this one.")] = None,
    site_file: SiteFile = None, data: Data = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Send a real alert through each receiver, and end it; tells what the far ends answered.

    \b
    Examples:
      metachat alerts test
      metachat alerts test --receiver slack
    """
    place = _place(data)
    lines = settings.receivers(place.data_dir, site_file)
    if site_file is not None:  # their addresses and keys are in the site's own store
        place = furnishing.place(site.read(site_file), site_file.absolute().parent, place.data_dir)
    lines = lines if receiver is None else [settings.find(lines, receiver)]
    results = [_tried(line, place, _site_name(site_file)) for line in lines]
    if as_json:
        print(json.dumps(results))
    else:
        for one in results:
            print(f"{'ok ' if one['delivered'] else 'BAD'} {one['receiver']}: {one['said']}")
            if one["fix"]:
                print(f"    {one['fix']}")
    if not results:
        print("NOBODY hears of alerts. Add somebody: metachat alerts add slack")
    if not results or not all(one["delivered"] for one in results):
        raise typer.Exit(NOT_DELIVERED)


@app.command()
def silence(
    alert: Annotated[str, typer.Argument(help="The alert's name.")],
    length: Annotated[str, typer.Option("--for", help="Like 30m, 2h or 1d.")] = "1h",
    reason: Annotated[str, typer.Option(help="Why, for the next person.")] = "no reason given",
    alertmanager: Alertmanager = silences.ALERTMANAGER, data: Data = None,
) -> None:  # fmt: skip
    """Do not hear an alert for a while."""
    place = _place(data)
    told = silences.Silence(alert, time.time() + _seconds(length), silences.who(), reason)
    there = silences.tell_alertmanager(told, alertmanager)
    silences.keep(place.data_dir, told)
    journal.record(place.data_dir, "alerts silence", f"{alert} for {length}")
    where = "Alertmanager and the watch of this machine" if there else "the watch of this machine"
    print(f"{alert} is silent for {length}: {where}.")


def _tried(line: site.Receiver, place: Place, name: str) -> dict[str, object]:
    try:
        opened = far.open_one(line, open_store(place), place.environ)
    except Refusal as refusal:
        told = refusal.sentence
        return {"receiver": line.name, "delivered": False, "said": told, "fix": refusal.detail or ""}
    return {"receiver": line.name, **_sent(opened, name)}


def _sent(opened: Receiver, name: str) -> dict[str, object]:
    begun = Message(
        "MetachatTest", "firing", "page", "This is a trial; nothing is wrong.", rules.runbook("Watchdog"),
        "Sent by `metachat alerts test`.", name,
    )  # fmt: skip
    answer = far.deliver(opened, begun)
    if answer.delivered:
        answer = far.deliver(opened, replace(begun, state="resolved"))
    return {"delivered": answer.delivered, "said": answer.said, "fix": answer.fix}


def _site_name(site_file: Path | None) -> str:
    return "metachat" if site_file is None else site.read(site_file).domain


def _seconds(length: str) -> float:
    found = re.fullmatch(r"([1-9][0-9]{0,4})([mhd])", length)
    if found is None or int(found[1]) * _UNITS[found[2]] > 30 * rules.DAY:
        raise NotALength(length)
    return float(int(found[1]) * _UNITS[found[2]])


def _place(data: Path | None) -> Place:
    environ = dict(os.environ)
    if data is not None:
        environ["METACHAT_DATA_DIR"] = str(data.absolute())
    return replace(place_of(environ), data_dir=data_dir(environ).absolute())
