"""Webhooks as Meta writes them."""

import itertools
import json
from typing import Any

from metachat.domain.channels.whatsapp.signature import sign

NUMBER = "106540352242922"
SECRET = "an app secret of the channel"
TOKEN = "a verify token of the channel"
_count = itertools.count(1)


def wamid() -> str:
    """A message id nobody had before."""
    return f"wamid.HBgNMzg1OTExMjM0NTY3FQIAEhgU{next(_count):08d}"


def message(body: str = "Where is my tent?", sender: str = "385911234567", **more: Any) -> dict[str, Any]:
    """A text message."""
    plain = {"from": sender, "id": wamid(), "timestamp": "1764000000", "type": "text", "text": {"body": body}}
    return {**plain, **more}


def status(id: str, step: str, at: int = 1764000000, **more: Any) -> dict[str, Any]:
    """A status update."""
    return {"id": id, "status": step, "timestamp": str(at), "recipient_id": "385911234567", **more}


def value(*messages: Any, statuses: Any = (), number: str = NUMBER, **more: Any) -> dict[str, Any]:
    """The value of a change of field "messages"."""
    senders = {item["from"] for item in messages if isinstance(item, dict) and "from" in item}
    found: dict[str, Any] = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "38515550000", "phone_number_id": number},
        "contacts": [{"wa_id": sender, "profile": {"name": f"Ana {sender[-2:]}"}} for sender in senders],
        **more,
    }
    if messages:
        found["messages"] = list(messages)
    if statuses:
        found["statuses"] = list(statuses)
    return found


def change(value: Any, field: Any = "messages") -> dict[str, Any]:
    """One change."""
    return {"field": field, "value": value}


def webhook(*changes: Any) -> bytes:
    """A whole body."""
    entry = {"id": "102290129340398", "time": 1764000001, "changes": list(changes)}
    return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()


def signed(body: bytes, secret: str = SECRET) -> dict[str, str]:
    """The headers with which Meta would send it."""
    return {"x-hub-signature-256": sign(secret, body), "content-type": "application/json"}
