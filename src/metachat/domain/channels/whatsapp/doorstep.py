"""Knocks at a channel's own door as Meta would, through its public address."""

import ipaddress
import json
import secrets
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from metachat.domain.channels.health import KNOCK
from metachat.domain.channels.outgoing import Diagnosis
from metachat.domain.channels.whatsapp import signature
from metachat.domain.channels.whatsapp.settings import Credentials

_PATIENCE = aiohttp.ClientTimeout(total=8, sock_connect=4)
_FIX_ADDRESS = "Set METACHAT_PUBLIC_URL to the https address under which the internet reaches this server."
_FIX_PROXY = (
    "Look at what stands before this server (proxy, firewall, DNS): /hooks/ must reach it, without signing "
    "in and with body and headers unchanged."
)
# A status of no message of no number: it is believed, stored, and has no effect.
_BODY = {
    "object": "whatsapp_business_account",
    "entry": [{"id": "0", "changes": [{"field": "messages", "value": {
        "messaging_product": "whatsapp", "metadata": {"phone_number_id": "0"},
        "statuses": [
            {"id": "channel-doctor", "status": "sent", "timestamp": "1764000000", "recipient_id": "0"},
        ],
    }}]}],
}  # fmt: skip


async def checks(callback: str, credentials: Credentials, *, at_home: bool) -> list[Diagnosis]:
    """Check the address and the door behind it; at_home: Meta is a simulator on this very machine."""
    found = [_address(callback, at_home=at_home)]
    async with aiohttp.ClientSession(timeout=_PATIENCE, cookie_jar=aiohttp.DummyCookieJar()) as session:
        greeting = await _greets(session, callback, credentials.verify_token)
        found.append(greeting)
        if not greeting.facts.get("away"):
            found += [
                await _believes(session, callback, credentials.app_secret),
                await _doubts(session, callback),
            ]
    return found


def is_local(url: str) -> bool:
    """Tell whether an address lies on this very machine."""
    host = urlsplit(url).hostname or ""
    return host == "localhost" or _is(host, "is_loopback")


def _address(callback: str, *, at_home: bool) -> Diagnosis:
    name, host = "callback URL is public and https", urlsplit(callback).hostname or ""
    if at_home and is_local(callback):
        return Diagnosis(name, True, f"{callback} (Meta is a simulator on this machine)")
    if not callback.startswith("https://"):
        return Diagnosis(
            name, False, f"{callback} is not https: Meta delivers to no such address", _FIX_ADDRESS
        )
    if host == "localhost" or _is(host, "is_private"):
        return Diagnosis(name, False, f"{callback} cannot be reached from the internet", _FIX_ADDRESS)
    return Diagnosis(name, True, callback)


def _is(host: str, what: str) -> bool:
    try:
        return bool(getattr(ipaddress.ip_address(host), what))
    except ValueError:
        return False


async def _greets(session: aiohttp.ClientSession, callback: str, token: str) -> Diagnosis:
    name, word = "callback URL answers the handshake", secrets.token_hex(8)
    query = {"hub.mode": "subscribe", "hub.verify_token": token, "hub.challenge": word}
    status, said = await _knock(session, "GET", callback, params=query)
    if status is None:
        return Diagnosis(name, False, f"cannot be reached from here: {said}", _FIX_PROXY, {"away": True})
    if status == 200 and said == word:
        return Diagnosis(name, True, "yes")
    fix = "Make a new verify token (`metachat channels rotate-secret CHANNEL verify_token`)."
    return Diagnosis(name, False, f"answered HTTP {status}", fix if status == 403 else _FIX_PROXY)


async def _believes(session: aiohttp.ClientSession, callback: str, app_secret: str) -> Diagnosis:
    body = json.dumps(_BODY).encode()
    status, said = await _post(session, callback, body, signature.sign(app_secret, body))
    fine = status == 200
    found = "stored and acknowledged" if fine else f"HTTP {status}" if status else said
    return Diagnosis("a signed webhook is taken", fine, found, "" if fine else _FIX_PROXY)


async def _doubts(session: aiohttp.ClientSession, callback: str) -> Diagnosis:
    # Unsigned rather than signed wrongly: the count of wrong signatures tells of a wrong app secret.
    status, said = await _post(session, callback, json.dumps(_BODY).encode(), "")
    fine = status in (401, 403)
    found = "turned away" if fine else f"HTTP {status}" if status else said
    return Diagnosis("an unsigned webhook is turned away", fine, found, "" if fine else _FIX_PROXY)


async def _post(
    session: aiohttp.ClientSession, callback: str, body: bytes, signed: str
) -> tuple[int | None, str]:
    headers = {"content-type": "application/json", "x-correlation-id": KNOCK}
    if signed:
        headers[signature.HEADER.decode()] = signed
    return await _knock(session, "POST", callback, data=body, headers=headers)


async def _knock(
    session: aiohttp.ClientSession, method: str, address: str, **options: Any
) -> tuple[int | None, str]:
    try:
        async with session.request(method, address, allow_redirects=False, **options) as response:
            said = await response.content.read(1_000)
            return response.status, said.decode("utf-8", "replace")
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return None, type(error).__name__
