"""The doctor of a WhatsApp channel: what Meta says of it, whether Meta can deliver, and the next move."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

from metachat.domain.channels.model import Channel
from metachat.domain.channels.outgoing import Diagnosis, NotSent
from metachat.domain.channels.whatsapp import doorstep
from metachat.domain.channels.whatsapp.graph import Graph
from metachat.domain.channels.whatsapp.reading import Object, number, part, parts, text
from metachat.domain.channels.whatsapp.settings import Credentials, opened
from metachat.foundation.clock import now
from metachat.foundation.keyring import Keyring

SCOPES = ("whatsapp_business_messaging", "whatsapp_business_management")

_SOON = 7 * 24 * 3600
_NUMBER_FIELDS = (
    "id,display_phone_number,verified_name,quality_rating,code_verification_status,name_status,status,"
    "throughput,webhook_configuration"
)
_TOKENS = (
    "In business.facebook.com: Settings > Users > System users > your user > Generate new token, "
    "with the app chosen, no expiry, and both whatsapp_business_messaging and whatsapp_business_management; "
    "then `metachat channels rotate-secret`, or enter it on the channel's page."
)
_CONSOLE = "In developers.facebook.com: your app > WhatsApp > Configuration > Webhook > Edit"
_API_SETUP = "In developers.facebook.com: your app > WhatsApp > API setup"
_SUBSCRIBE = (
    f"Subscribe the app from here (`metachat channels doctor --subscribe`). Or: {_CONSOLE}, enter the "
    'callback URL and the verify token, and switch on the field "messages".'
)


async def diagnose(graph: Graph, channel: Channel, key: Keyring, callback: str) -> list[Diagnosis]:
    """Check a channel; what cannot be told because of something found before is left out."""
    credentials = opened(channel, key)
    found = [_complete(credentials)]
    local = doorstep.is_local(graph.address_for(credentials.access_token))
    found += await doorstep.checks(callback, credentials, at_home=local)
    if not credentials.access_token:
        return found
    about, checks = await _token(graph, credentials)
    found += checks
    if not checks[0].passed:
        return found
    if credentials.phone_number_id:
        found += await _number(graph, credentials, callback)
    if credentials.business_account_id:
        found += [await _belongs(graph, credentials), await _subscribed(graph, credentials, about)]
        found.append(await _reopening(graph, credentials, channel))
    return found


async def subscribe(graph: Graph, channel: Channel, key: Keyring, callback: str) -> None:
    """Have Meta deliver the account's webhooks here; it greets the address at once. Raises NotSent."""
    credentials = opened(channel, key)
    body = {"override_callback_uri": callback, "verify_token": credentials.verify_token}
    await graph.post(credentials.access_token, f"{credentials.business_account_id}/subscribed_apps", body)


def _complete(credentials: Credentials) -> Diagnosis:
    missing = [name for name in credentials.__slots__ if not getattr(credentials, name)]
    fix = f"{_API_SETUP}, and App settings > Basic for the app secret; enter them on the channel's page."
    said = f"missing: {', '.join(missing)}" if missing else "everything is entered"
    return Diagnosis("settings are complete", not missing, said, fix if missing else "")


async def _token(graph: Graph, credentials: Credentials) -> tuple[Object, list[Diagnosis]]:
    name = "access token is valid"
    try:
        answer = await graph.get(
            credentials.access_token, "debug_token", {"input_token": credentials.access_token}
        )
    except NotSent as error:
        return {}, [_failed(name, error, _TOKENS)]
    about = part(answer, "data")
    if about.get("is_valid") is not True:
        said = text(part(about, "error"), "message") or "Meta calls it invalid"
        return about, [Diagnosis(name, False, said[:300], _TOKENS)]
    return about, [Diagnosis(name, True, _expiry(about)[0]), _scopes(about), _lasts(about)]


def _scopes(about: Object) -> Diagnosis:
    given = about.get("scopes")
    held = {item for item in given if isinstance(item, str)} if isinstance(given, list) else set[str]()
    missing = [scope for scope in SCOPES if scope not in held]
    said = f"missing: {', '.join(missing)}" if missing else "may send and manage"
    facts = {"scopes": sorted(held)[:30]}
    return Diagnosis("access token has its scopes", not missing, said, _TOKENS if missing else "", facts)


def _lasts(about: Object) -> Diagnosis:
    said, seconds = _expiry(about)
    lasts = seconds is None or seconds > _SOON
    return Diagnosis("access token lasts", lasts, said, "" if lasts else _TOKENS)


def _expiry(about: Object) -> tuple[str, float | None]:
    ends = number(about, "expires_at")
    if not ends:
        return "never expires", None
    left = ends - now().timestamp()
    return f"expires in {max(left, 0) / 86400:.1f} days", left


async def _number(graph: Graph, credentials: Credentials, callback: str) -> list[Diagnosis]:
    try:
        about = await graph.get(
            credentials.access_token, credentials.phone_number_id, {"fields": _NUMBER_FIELDS}
        )
    except NotSent as error:
        fix = f'{_API_SETUP}, copy the "Phone number ID" below the number (not the number itself).'
        return [_failed("number is known", error, fix)]
    shown = f"{text(about, 'display_phone_number')} {text(about, 'verified_name')}".strip()
    state, quality = text(about, "status"), text(about, "quality_rating")
    fine = quality != "RED" and state in ("", "CONNECTED")
    said = f"{shown}, {state.lower() or 'state unknown'}, quality {quality.lower() or 'unknown'}"
    fix = "In business.facebook.com: WhatsApp manager > Phone numbers, see what Meta wants of this number."
    facts = {name: text(about, name) for name in ("display_phone_number", "verified_name", "quality_rating")}
    return [
        Diagnosis("number is known", fine, said, "" if fine else fix, facts),
        _delivers_here(about, callback),
        await _proof(graph, credentials),
    ]


def _delivers_here(about: Object, callback: str) -> Diagnosis:
    hooks = part(about, "webhook_configuration")
    goes_to = text(hooks, "phone_number", "whatsapp_business_account", "application")
    name = "Meta delivers to this channel"
    if not goes_to:
        return Diagnosis(name, False, "no callback URL is set at Meta", _SUBSCRIBE)
    fine = goes_to.rstrip("/").lower() == callback.lower()
    return Diagnosis(name, fine, f"webhooks go to {goes_to[:200]}", "" if fine else _SUBSCRIBE)


async def _proof(graph: Graph, credentials: Credentials) -> Diagnosis:
    """Meta itself compares the app secret, by a proof made of it and the token."""
    name, secret = "app secret is the app's", credentials.app_secret
    fix = (
        "In developers.facebook.com: your app > App settings > Basic > App secret > Show; then "
        "`metachat channels rotate-secret`, or enter it on the channel's page."
    )
    if not secret:
        return Diagnosis(name, False, "no app secret is entered: every webhook is turned away", fix)
    proof = hmac.new(secret.encode(), credentials.access_token.encode(), hashlib.sha256).hexdigest()
    try:
        query = {"fields": "id", "appsecret_proof": proof}
        await graph.get(credentials.access_token, credentials.phone_number_id, query)
    except NotSent as error:
        return _failed(name, error, fix)
    return Diagnosis(name, True, "Meta accepts a proof made with it")


async def _belongs(graph: Graph, credentials: Credentials) -> Diagnosis:
    name = "number belongs to the account"
    fix = f'{_API_SETUP}, copy the "WhatsApp Business Account ID" that stands beside the number.'
    try:
        path = f"{credentials.business_account_id}/phone_numbers"
        answer = await graph.get(credentials.access_token, path, {"fields": "id", "limit": "100"})
    except NotSent as error:
        return _failed(name, error, fix)
    known = [text(one, "id") for one in parts(answer, "data")]
    fine = credentials.phone_number_id in known
    said = "yes" if fine else f"the account has {len(known)} other numbers"
    return Diagnosis(name, fine, said, "" if fine else fix)


async def _subscribed(graph: Graph, credentials: Credentials, about: Mapping[str, Any]) -> Diagnosis:
    name = "app is subscribed to the account"
    try:
        path = f"{credentials.business_account_id}/subscribed_apps"
        answer = await graph.get(credentials.access_token, path)
    except NotSent as error:
        return _failed(name, error, _TOKENS)
    apps = [text(part(one, "whatsapp_business_api_data"), "id") for one in parts(answer, "data")]
    app = text(about, "app_id")
    fine = app in apps if app else bool(apps)
    return Diagnosis(name, fine, "yes" if fine else "Meta sends it no webhooks", "" if fine else _SUBSCRIBE)


async def _reopening(graph: Graph, credentials: Credentials, channel: Channel) -> Diagnosis:
    name = "a template re-opens conversations"
    fix = (
        "In business.facebook.com: WhatsApp manager > Message templates > Create, category utility; once it "
        "is approved, enter its name as the channel's re-opening template."
    )
    wanted = part(channel.settings, "reopening_template")
    if not text(wanted, "name"):
        said = "none is chosen: a customer who wrote more than 24 hours ago cannot be answered"
        return Diagnosis(name, False, said, fix)
    try:
        query = {"name": text(wanted, "name"), "fields": "name,status,language", "limit": "50"}
        answer = await graph.get(
            credentials.access_token, f"{credentials.business_account_id}/message_templates", query
        )
    except NotSent as error:
        return _failed(name, error, fix)
    mine = [one for one in parts(answer, "data") if text(one, "name") == text(wanted, "name")]
    states = {text(one, "language"): text(one, "status") for one in mine}
    state = states.get(text(wanted, "language"), "")
    said = f"{text(wanted, 'name')} ({text(wanted, 'language')}): {state.lower() or 'there is none'}"
    return Diagnosis(name, state == "APPROVED", said, "" if state == "APPROVED" else fix)


def _failed(name: str, error: NotSent, fix: str) -> Diagnosis:
    away = error.remedy in ("retry", "wait")
    return Diagnosis(name, False, error.reason, "Try again in a minute." if away else fix)
