"""What `metachat channels` says to people."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

WHERE_TO_FIND_IT = (
    "In developers.facebook.com open your app > WhatsApp > API setup; the app secret is under\n"
    "App settings > Basic. Secrets do not show while you type."
)
MENDED_BY_SUBSCRIBING = ("Meta delivers to this channel", "app is subscribed to the account")


def remarks(channel: dict[str, Any]) -> str:
    """What is worth saying of a channel, behind its name."""
    said = []
    if channel["last_update_at"]:
        said.append(f"last update {_ago(channel['last_update_at'])} ago")
    if channel["held_updates"]:
        said.append(f"{channel['held_updates']} updates wait")
    said += [f"SILENT since {_ago(one['since'])} ago" for one in channel["findings"]]
    return f"  ({'; '.join(said)})" if said else ""


def described(channel: dict[str, Any]) -> Iterator[str]:
    """A channel line by line."""
    yield f"{channel['name']}  {channel['kind']}, {channel['status']}{remarks(channel)}"
    yield f"id                   {channel['id']}"
    if channel["whatsapp"]:
        about = channel["whatsapp"]
        yield f"callback URL         {about['callback_url']}"
        yield f"phone number id      {about['phone_number_id'] or '-'}"
        yield f"business account id  {about['business_account_id'] or '-'}"
        for name in ("app_secret", "access_token", "verify_token"):
            secret = about[name]
            shown = f"set, {secret['fingerprint']}" if secret["set"] else "NOT SET"
            yield f"{name.replace('_', ' '):<20} {shown}"
        template = f"{about['reopening_template'] or '-'} {about['reopening_language']}"
        yield f"re-opening template  {template}"
    if channel["webchat"]:
        look = channel["webchat"]
        yield f"allowed origins      {', '.join(look['allowed_origins']) or 'any page'}"
        yield f"greeting             {look['greeting'] or '-'}"
        yield f"colour, side         {look['accent'] or '-'}, {look['position']}"
        yield f"line for your pages  {look['snippet']}"


def next_moves(made: dict[str, Any], tenant: str) -> Iterator[str]:
    """What to do in Meta's console once a channel is open."""
    channel = made["channel"]
    yield f"Opened {channel['name']} ({channel['id']})."
    yield ""
    yield from verify_moves(made)
    yield "  5. Below, under Webhook fields, subscribe to: messages, message_template_status_update,"
    yield "     account_update, phone_number_quality_update."
    yield ""
    yield f"Then check it all:  metachat channels doctor {channel['id']} --tenant {tenant}"
    yield f"And try it:         metachat channels test {channel['id']} +YOUR_NUMBER --tenant {tenant}"


def verify_moves(made: dict[str, Any]) -> Iterator[str]:
    """How to have Meta accept the channel's address; the only time that the verify token is shown."""
    yield "In Meta's console:"
    yield "  1. Open https://developers.facebook.com/apps, then your app."
    yield "  2. In the menu on the left: WhatsApp > Configuration. Under Webhook press Edit."
    yield f"  3. Callback URL:  {made['channel']['whatsapp']['callback_url']}"
    yield f"     Verify token:  {made['verify_token']}   (shown only this once)"
    yield "  4. Press Verify and save; Meta asks this server at once."


def outcome(told: dict[str, Any]) -> str:
    """What became of a test message."""
    why = f" {told['reason']}" if told["reason"] else ""
    code = f" [{told['code']}]" if told["code"] else ""
    if not told["accepted"]:
        return f"Not accepted.{why}{code}"
    if told["status"] == "failed":
        return f"Accepted as {told['provider_id']}, but not delivered.{why}{code}"
    if told["status"] is None:
        return (
            f"Accepted as {told['provider_id']}, but nothing was reported of it within 10 seconds: "
            "webhooks may not arrive. See: metachat channels doctor"
        )
    return f"Accepted as {told['provider_id']}; {told['status']}."


def examined(channel: dict[str, Any], told: dict[str, Any]) -> Iterator[str]:
    """What a doctor found, check by check."""
    yield f"{channel['name']} ({channel['kind']})"
    for one in told["checks"]:
        yield f"  {'ok   ' if one['passed'] else 'FOUND'}  {one['check']}: {one['found']}"
        if one["fix"]:
            yield f"         -> {one['fix']}"


def _ago(moment: str) -> str:
    seconds = max(int((datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()), 0)
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} seconds"
