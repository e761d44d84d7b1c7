"""How Meta writes what happened into a webhook."""

from typing import Any

from metachat.simulate.deliveries import change
from metachat.simulate.model import Account, Message, Phone


def of_message(account: Account, phone: Phone, message: Message, **more: Any) -> bytes:
    """A person's message."""
    written: dict[str, Any] = {
        "from_user_id": phone.user_id, "id": message.id, "timestamp": str(int(message.at)),
        "type": message.type, **more,
    }  # fmt: skip
    if not phone.without_number:
        written["from"] = phone.wa_id
    if message.reply_to:
        context = {"from": account.display_phone_number, "id": message.reply_to}
        written["context"] = {**context, **more.get("context", {})}
    if message.body is not None:
        written[message.type] = message.body
    return change("messages", {**_around(account), "contacts": [_contact(phone)], "messages": [written]})


def of_status(
    account: Account, phone: Phone, message: Message, step: str, at: float, error: dict[str, Any] | None
) -> bytes:
    """How far one of the business's messages has come."""
    status: dict[str, Any] = {
        "id": message.id, "status": step, "timestamp": str(int(at)),
        "recipient_user_id": phone.user_id,
    }  # fmt: skip
    if not phone.without_number:
        status["recipient_id"] = phone.wa_id
    if message.callback_data is not None:
        status["biz_opaque_callback_data"] = message.callback_data
    if error is not None:
        status["errors"] = [error]
    else:
        category = "utility" if message.type == "template" else "service"
        pricing = {"billable": message.type == "template", "pricing_model": "PMP", "category": category}
        status["pricing"] = {**pricing, "type": "regular" if pricing["billable"] else "free_customer_service"}
    value = {**_around(account), "statuses": [status]}
    if step in ("delivered", "read"):
        value["contacts"] = [_contact(phone)]
    return change("messages", value)


def of_echo(account: Account, message: Message) -> bytes:
    """What somebody of the business wrote in the WhatsApp Business app."""
    echo = {
        "from": account.display_phone_number, "to": message.wa_id, "id": message.id,
        "timestamp": str(int(message.at)), "type": message.type, message.type: message.body,
    }  # fmt: skip
    return change("smb_message_echoes", {**_around(account), "message_echoes": [echo]})


def _around(account: Account) -> dict[str, Any]:
    metadata = {
        "display_phone_number": account.display_phone_number,
        "phone_number_id": account.phone_number_id,
    }
    return {"messaging_product": "whatsapp", "metadata": metadata}


def _contact(phone: Phone) -> dict[str, Any]:
    profile = {"name": phone.name, **({"username": phone.username} if phone.username else {})}
    contact = {"profile": profile, "user_id": phone.user_id}
    return contact if phone.without_number else {**contact, "wa_id": phone.wa_id}
