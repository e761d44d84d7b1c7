"""`metachat channels`: open, test, examine, pause and change channels, from this machine."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from metachat.cli import channel_texts as texts
from metachat.cli.asking import asked, asked_secret
from metachat.cli.client import Client, connect
from metachat.foundation.errors import Kind, Refusal

app = typer.Typer(
    no_args_is_help=True,
    help="Open, test and look after channels.",
    rich_markup_mode=None,
    add_completion=False,
)
add = typer.Typer(no_args_is_help=True, help="Open a channel.", rich_markup_mode=None)
app.add_typer(add, name="add")

Tenant = Annotated[str, typer.Option("--tenant", "-t", help="The tenant's short name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Which = Annotated[str, typer.Argument(metavar="CHANNEL", help="A channel's name or id, as listed.")]
SecretFile = Annotated[
    Path | None, typer.Option(help="A file that holds it (- for standard input).", show_default="asks for it")
]
SecretName = Literal["app-secret", "access-token", "verify-token"]

FOUND = 1


class ChannelUnknown(Refusal):
    """There is no such channel."""

    code, kind = "channel_not_found", Kind.NOT_FOUND


class NameNotUnique(Refusal):
    """Several channels have this name; say its id instead."""

    code, kind = "channel_name_not_unique", Kind.CONFLICT


@app.command("list")
def list_channels(tenant: Tenant = "demo", as_json: AsJson = False) -> None:
    """List channels with their state, what last came, and findings.

    \b
    Examples:
      metachat channels list --tenant acme
    """
    found = list(connect(tenant).pages("/api/v1/channels"))
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    for channel in found:
        head = f"{channel['id']}  {channel['kind']:<9} {channel['status']:<7}"
        print(f"{head} {channel['name']}{texts.remarks(channel)}")
    if not found:
        print("No channels yet. Open one with: metachat channels add whatsapp")


@app.command("show")
def show(which: Which, tenant: Tenant = "demo", as_json: AsJson = False) -> None:
    """Show a channel's settings; secrets only as set or not set, with a fingerprint.

    \b
    Examples:
      metachat channels show "Shop line" --tenant acme
    """
    client = connect(tenant)
    channel = _choose(client, which)
    if as_json:
        print(json.dumps(channel, ensure_ascii=False))
        return
    print("\n".join(texts.described(channel)))


@add.command("whatsapp")
def add_whatsapp(
    name: Annotated[str | None, typer.Option(help="What you call it.", show_default="asks for it")] = None,
    phone_number_id: Annotated[
        str | None, typer.Option(help="Phone number ID, from Meta's console.", show_default="asks for it")
    ] = None,
    business_account_id: Annotated[
        str | None, typer.Option(help="WhatsApp Business Account ID.", show_default="asks for it")
    ] = None,
    app_secret_file: SecretFile = None,
    access_token_file: SecretFile = None,
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """Open a WhatsApp channel; then it says what to enter in Meta's console.

    Secrets are asked for, or read from files or standard input; they are never given as arguments.

    \b
    Examples:
      metachat channels add whatsapp --tenant acme
      metachat channels add whatsapp --name "Shop line" --phone-number-id 106540352242922 \\
        --business-account-id 102290129340398 --app-secret-file app.txt --access-token-file token.txt
    """
    client = connect(tenant)
    if name is None or phone_number_id is None:
        print(texts.WHERE_TO_FIND_IT, file=sys.stderr)
    body = {
        "kind": "whatsapp", "name": name or asked("Name of the channel", "WhatsApp"),
        "whatsapp": {
            "phone_number_id": phone_number_id or asked("Phone number ID"),
            "business_account_id": business_account_id or asked("WhatsApp Business Account ID"),
            "app_secret": asked_secret("App secret", app_secret_file),
            "access_token": asked_secret("Access token", access_token_file),
        },
    }  # fmt: skip
    made = client.call("POST", "/api/v1/channels", body)
    print(json.dumps(made, ensure_ascii=False) if as_json else "\n".join(texts.next_moves(made, tenant)))


@add.command("webchat")
def add_webchat(
    name: Annotated[str, typer.Option(help="What you call it.")] = "Website",
    origin: Annotated[
        list[str] | None, typer.Option(help="A website that may hold the chat; repeat it.")
    ] = None,
    greeting: Annotated[str | None, typer.Option(help="The chat's first words.")] = None,
    accent: Annotated[str | None, typer.Option(help="Its colour, like #0d6b5b.")] = None,
    position: Annotated[Literal["right", "left"], typer.Option(help="Its side of the page.")] = "right",
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """Open a web chat and print the line that puts it on a website.

    \b
    Examples:
      metachat channels add webchat --tenant acme --origin https://www.acme.example
    """
    look = {"greeting": greeting, "accent": accent, "position": position, "allowed_origins": origin}
    body = {"kind": "webchat", "name": name, "webchat": look}
    made = connect(tenant).call("POST", "/api/v1/channels", body)
    if as_json:
        print(json.dumps(made, ensure_ascii=False))
        return
    print(f"Opened {made['channel']['name']} ({made['channel']['id']}).")
    print(f"Put this line before </body> on your pages:\n\n  {made['channel']['webchat']['snippet']}")


@app.command("test")
def send_test(
    which: Which,
    to: Annotated[str, typer.Argument(help="A telephone number with its country code.")],
    text: Annotated[str | None, typer.Option(help="Free text, for whoever wrote within 24 hours.")] = None,
    template: Annotated[
        str | None, typer.Option(help="An approved template.", show_default="hello_world")
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="The template's language.", show_default="en_US")
    ] = None,
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """Send a real test message and tell what became of it; exit code 1 when it did not arrive.

    \b
    Examples:
      metachat channels test "Shop line" +385911234567 --tenant acme
      metachat channels test "Shop line" +385911234567 --text "Hello from the shop"
    """
    client = connect(tenant)
    channel = _choose(client, which)
    body = {"to": to, "text": text, "template": template, "language": language}
    told = client.call("POST", f"/api/v1/channels/{channel['id']}/test", body)
    print(json.dumps(told, ensure_ascii=False) if as_json else texts.outcome(told))
    if not told["accepted"] or told["status"] == "failed":
        raise typer.Exit(FOUND)


@app.command("pause")
def pause(which: Which, tenant: Tenant = "demo", as_json: AsJson = False) -> None:
    """Pause a channel; what is delivered meanwhile is kept for when it is resumed.

    \b
    Examples:
      metachat channels pause "Shop line" --tenant acme
    """
    _turn(which, tenant, "pause", as_json)


@app.command("resume")
def resume(which: Which, tenant: Tenant = "demo", as_json: AsJson = False) -> None:
    """Resume a channel; what came meanwhile is answered now, in its order.

    \b
    Examples:
      metachat channels resume "Shop line" --tenant acme
    """
    _turn(which, tenant, "resume", as_json)


@app.command("rotate-secret")
def rotate_secret(
    which: Which,
    secret: Annotated[SecretName, typer.Argument(help="Which one.")],
    file: SecretFile = None,
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """Replace a secret: the app's secret or the token by what you enter, the verify token by a new one.

    \b
    Examples:
      metachat channels rotate-secret "Shop line" access-token --tenant acme
      metachat channels rotate-secret "Shop line" app-secret --file - < app.txt
    """
    client = connect(tenant)
    path = f"/api/v1/channels/{_choose(client, which)['id']}"
    if secret == "verify-token":  # noqa: S105 - a name
        made = client.call("POST", f"{path}/verify-token")
        print(json.dumps(made, ensure_ascii=False) if as_json else "\n".join(texts.verify_moves(made)))
        return
    name = secret.replace("-", "_")
    value = asked_secret(secret.replace("-", " ").capitalize(), file)
    channel = client.call("PATCH", path, {"whatsapp": {name: value}})
    sign = channel["whatsapp"][name]["fingerprint"]
    print(json.dumps(channel, ensure_ascii=False) if as_json else f"Replaced; its fingerprint is now {sign}.")


@app.command("doctor")
def doctor(
    which: Annotated[
        str | None, typer.Argument(metavar="CHANNEL", help="A channel's name or id; all if none.")
    ] = None,
    subscribe: Annotated[
        bool, typer.Option("--subscribe", help="Have Meta deliver to this channel first.")
    ] = False,
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """Check channels from end to end, with the next move for each finding; exit code 1 with findings.

    \b
    Examples:
      metachat channels doctor --tenant acme
      metachat channels doctor "Shop line" --subscribe
    """
    client = connect(tenant)
    chosen = list(client.pages("/api/v1/channels")) if which is None else [_choose(client, which)]
    results = [_examined(client, channel, subscribe=subscribe, quietly=as_json) for channel in chosen]
    if as_json:
        print(json.dumps(results, ensure_ascii=False))
    if not all(result["healthy"] for result in results):
        raise typer.Exit(FOUND)


def _examined(client: Client, channel: dict[str, Any], *, subscribe: bool, quietly: bool) -> dict[str, Any]:
    verb = "subscribe" if subscribe and channel["kind"] == "whatsapp" else "diagnose"
    told = client.call("POST", f"/api/v1/channels/{channel['id']}/{verb}")
    if not quietly:
        print("\n".join(texts.examined(channel, told)))
    if not subscribe and not quietly and _wants_subscription(told):
        return _examined(client, channel, subscribe=True, quietly=quietly)
    return {"channel": channel["id"], "name": channel["name"], **told}


def _wants_subscription(told: dict[str, Any]) -> bool:
    failed = {one["check"] for one in told["checks"] if not one["passed"]}
    if not sys.stdin.isatty() or not failed & set(texts.MENDED_BY_SUBSCRIBING):
        return False
    return typer.confirm("Have Meta deliver to this channel now?", default=False, err=True)


def _turn(which: str, tenant: str, verb: str, as_json: bool) -> None:
    client = connect(tenant)
    channel = client.call("POST", f"/api/v1/channels/{_choose(client, which)['id']}/{verb}")
    print(json.dumps(channel, ensure_ascii=False) if as_json else f"{channel['name']}: {channel['status']}")


def _choose(client: Client, which: str) -> dict[str, Any]:
    found = [one for one in client.pages("/api/v1/channels") if which in (one["id"], one["name"])]
    if not found:
        raise ChannelUnknown(which)
    if len(found) > 1:
        raise NameNotUnique(which)
    return found[0]
