"""POST /{number}/messages: what a business sends, checked, limited, accepted and followed by its statuses."""

import asyncio
import re
from collections.abc import Callable
from typing import Any

from metachat.simulate import payloads
from metachat.simulate.deliveries import Update
from metachat.simulate.errors import GraphError
from metachat.simulate.files import fits
from metachat.simulate.model import Account, Message, Phone, Step, Template, now, wamid
from metachat.simulate.weather import Invalid, Rule
from metachat.simulate.world import World

WINDOW_SECONDS = 24 * 3_600.0
_MEDIA = ("image", "audio", "video", "document", "sticker")
_TYPING_SECONDS = 25


def mark_read(world: World, account: Account, body: dict[str, Any]) -> dict[str, Any]:
    """Turn a customer's ticks blue, and show that an answer is being written; raises GraphError."""
    message = world.find(_string(body, "message_id"))
    if message is None or message.side != "phone" or message.account != account.phone_number_id:
        raise GraphError(131009, "message_id is not the id of a message to this number.")
    for earlier in world.phones[message.wa_id].thread if message.wa_id in world.phones else ():
        if earlier.side == "phone" and earlier.number <= message.number:
            world.advance(earlier, "read")
    if isinstance(body.get("typing_indicator"), dict):
        world.tell({"event": "typing", "phone": message.wa_id, "seconds": _TYPING_SECONDS})
    return {"success": True}


def accept(world: World, account: Account, body: dict[str, Any], rule: Rule | None) -> dict[str, Any]:
    """Take a message in, or refuse it; raises GraphError. A rule of kind "error" refuses it."""
    if body.get("messaging_product") != "whatsapp":
        raise GraphError(100, "The parameter messaging_product is required.")
    given = body.get("to") or body.get("recipient")
    if not isinstance(given, str) or not given:
        raise GraphError(131008, "The parameter to (or recipient) is required.")
    kind = body.get("type", "text")
    preview = _checked(world, account, kind, body)
    phone = _recipient(world, given)
    refusal = GraphError(rule.code) if rule is not None and rule.kind == "error" else None
    if refusal is not None and not world.habits.late_errors:
        raise refusal
    world.limits.take(account.phone_number_id, phone.wa_id)
    refusal = refusal or _late_refusal(world, phone, kind)
    message = _keep(world, account, phone, kind, body, preview)
    if refusal is not None:
        _fail_later(world, message, refusal)
    else:
        _follow(world, message)
    written: dict[str, Any] = {"id": message.id}
    if kind == "template":
        written["message_status"] = "accepted"
    contact = {"input": given, "wa_id": phone.wa_id}
    if phone.without_number:
        contact = {"input": given, "user_id": phone.user_id}
    return {"messaging_product": "whatsapp", "contacts": [contact], "messages": [written]}


def _late_refusal(world: World, phone: Phone, kind: str) -> GraphError | None:
    if not phone.reachable:
        return GraphError(131026)  # Meta knows only after it has tried
    closed = phone.last_wrote is None or now() - phone.last_wrote > WINDOW_SECONDS
    if closed and kind not in ("template", "reaction"):
        if not world.habits.late_errors:
            raise GraphError(131047)
        return GraphError(131047)
    return None


def _recipient(world: World, given: str) -> Phone:
    phone = world.phone(given)
    if phone is not None:
        return phone
    if re.fullmatch(r"\+?\d{5,15}", given) is None:
        raise GraphError(131009, "(#131009) Parameter value is not valid: the recipient is not known.")
    try:
        return world.add_phone(given)
    except Invalid as error:
        raise GraphError(131026, str(error)) from error


def _keep(
    world: World, account: Account, phone: Phone, kind: str, body: dict[str, Any], preview: str
) -> Message:
    context = body.get("context")
    callback = body.get("biz_opaque_callback_data")
    message = Message(
        world.next_number(), wamid(phone.wa_id), phone.wa_id, "business", kind, body.get(kind), now(),
        "accepted", account.phone_number_id, preview=preview,
        reply_to=context.get("message_id") if isinstance(context, dict) else None,
        callback_data=callback if isinstance(callback, str) else None,
    )  # fmt: skip
    if kind == "reaction":
        target = world.find(str(body["reaction"].get("message_id", "")))
        if target is not None:
            target.reactions = {**target.reactions, "business": str(body["reaction"].get("emoji", ""))}
            world.tell({"event": "message", "message": target.shown()})
    if kind == "template":
        message.buttons = _template_of(world, body["template"]).buttons
    world.keep(message, phone)
    return message


def _follow(world: World, message: Message) -> None:
    loop, habits = asyncio.get_running_loop(), world.habits
    after = 0.0
    steps: list[tuple[Step, float | None]] = [
        ("sent", habits.sent), ("delivered", habits.delivered), ("read", habits.read),
    ]  # fmt: skip
    for step, pause in steps:
        if pause is None:
            return
        after = max(after, pause)
        loop.call_later(after, report, world, message, step)


def _fail_later(world: World, message: Message, refusal: GraphError) -> None:
    pause = world.habits.sent or 0.05
    asyncio.get_running_loop().call_later(pause, report, world, message, "failed", refusal.in_webhook())


def report(world: World, message: Message, step: Step, error: dict[str, Any] | None = None) -> None:
    """Tell the business how far its message has come, unless it has been told already."""
    account, phone = world.accounts.get(message.account), world.phone(message.wa_id)
    if account is None or phone is None or not world.advance(message, step, error):
        return
    written = payloads.of_status(account, phone, message, step, now(), error)
    world.deliveries.submit(Update(account, written, phone.wa_id, lambda at, _: _told(message, at)))


def _told(message: Message, at: float) -> None:
    message.told_at = message.told_at or at


def _checked(world: World, account: Account, kind: str, body: dict[str, Any]) -> str:
    """Check a message's content as Meta does and give it in short; raises GraphError."""
    check = _CHECKS.get(kind)
    if check is None:
        raise GraphError(
            100, f"Param type must be one of {{{', '.join(_CHECKS).upper()}}} - got {kind!s:.40}."
        )
    content = body.get(kind)
    if not content or (not isinstance(content, dict) and kind != "contacts"):
        raise GraphError(131008, f"The parameter {kind} is required.")
    data = body.get("biz_opaque_callback_data")
    if data is not None and (not isinstance(data, str) or len(data) > 512):
        raise GraphError(131009, "biz_opaque_callback_data is a string of up to 512 characters.")
    return check(world, account, kind, content)


def _text(_world: World, _account: Account, _kind: str, content: Any) -> str:
    said = _string(content, "body")
    if len(said) > 4_096:
        raise GraphError(100, f"Param text['body'] must be at most 4096 characters long, not {len(said)}.")
    return said


def _media(world: World, account: Account, kind: str, content: Any) -> str:
    if isinstance(content.get("link"), str):
        return str(content.get("caption") or f"[{kind}]")
    file = world.files.find(_string(content, "id"))
    if file is None or file.owner != account.phone_number_id or not fits(file, kind):
        raise GraphError(131053, f"Media {content.get('id')!s:.40} is not there, or is no {kind}.")
    if len(str(content.get("caption", ""))) > 1_024:
        raise GraphError(131009, "A caption has at most 1024 characters.")
    return str(content.get("caption") or f"[{kind}]")


def _template(world: World, _account: Account, _kind: str, content: Any) -> str:
    return _filled(_template_of(world, content), content.get("components") or [])


def _template_of(world: World, content: Any) -> Template:
    language = content.get("language")
    code = language.get("code") if isinstance(language, dict) else None
    name = _string(content, "name")
    found = next((one for one in world.templates if (one.name, one.language) == (name, code)), None)
    if found is None or found.status in ("REJECTED", "PENDING"):
        raise GraphError(132001, f"template name ({name[:100]}) does not exist in {code!s:.20}")
    if found.status in ("PAUSED", "DISABLED"):
        raise GraphError(132015 if found.status == "PAUSED" else 132016)
    return found


def _filled(template: Template, components: Any) -> str:
    given: list[str] = []
    for component in components if isinstance(components, list) else ():
        if isinstance(component, dict) and str(component.get("type", "")).lower() == "body":
            parameters = component.get("parameters") or []
            given = [str(one.get("text", "")) for one in parameters if isinstance(one, dict)]
    if len(given) != template.holes:
        raise GraphError(
            132000, f"body: number of localizable_params ({len(given)}) does not match the expected number of"
            f" params ({template.holes})",
        )  # fmt: skip
    text = template.body
    for number, value in enumerate(given, 1):
        text = text.replace(f"{{{{{number}}}}}", value)
    return text


def _interactive(_world: World, _account: Account, _kind: str, content: Any) -> str:
    action, kind = content.get("action"), content.get("type")
    body = content.get("body")
    said = _string(body if isinstance(body, dict) else {}, "text")
    if not isinstance(action, dict) or kind not in ("button", "list", "cta_url", "location_request_message"):
        raise GraphError(131009, "interactive['type'] and interactive['action'] do not fit.")
    if len(said) > (4_096 if kind == "list" else 1_024):
        raise GraphError(131009, "interactive['body']['text'] is too long.")
    if kind == "button":
        _check_choices([item.get("reply", {}) for item in action.get("buttons", [])], 3, 20)
    elif kind == "list":
        if not 0 < len(_string(action, "button")) <= 20:
            raise GraphError(131009, "action['button'] has 1 to 20 characters.")
        rows = [row for section in action.get("sections", []) for row in section.get("rows", [])]
        _check_choices(rows, 10, 24)
    return said


def _check_choices(choices: list[Any], most: int, longest: int) -> None:
    if not 1 <= len(choices) <= most:
        raise GraphError(131009, f"There must be 1 to {most} choices, not {len(choices)}.")
    titles = [str(choice.get("title", "")) for choice in choices]
    ids = {choice.get("id") for choice in choices}
    if any(not 0 < len(title) <= longest for title in titles):
        raise GraphError(131009, f"A title has 1 to {longest} characters.")
    if len(set(titles)) < len(titles) or len(ids) < len(choices) or None in ids:
        raise GraphError(131009, "Titles and ids must be unique.")


def _reaction(_world: World, _account: Account, _kind: str, content: Any) -> str:
    _string(content, "message_id")
    return str(content.get("emoji", ""))


def _location(_world: World, _account: Account, _kind: str, content: Any) -> str:
    return str(content.get("name") or f"{content.get('latitude')}, {content.get('longitude')}")


def _contacts(_world: World, _account: Account, _kind: str, _content: Any) -> str:
    return "[contact]"


def _string(content: Any, name: str) -> str:
    found = content.get(name) if isinstance(content, dict) else None
    if not isinstance(found, str) or not found:
        raise GraphError(131008, f"The parameter {name} is required and must be a text.")
    return found


_CHECKS: dict[str, Callable[[World, Account, str, Any], str]] = {
    "text": _text, **dict.fromkeys(_MEDIA, _media), "template": _template, "interactive": _interactive,
    "reaction": _reaction, "location": _location, "contacts": _contacts,
}  # fmt: skip
