"""What there is in the simulated world: business accounts, phones, messages, templates, files."""

import base64
import secrets
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Literal

Side = Literal["phone", "business"]
# How far a message has come; a phone's own: waiting until the webhook is acknowledged, then delivered, read.
Step = Literal["waiting", "accepted", "sent", "delivered", "read", "played", "failed"]

# What one phone remembers; older messages are forgotten.
THREAD_LIMIT = 10_000


@dataclass(slots=True)
class Account:
    """A business: an app, a WhatsApp Business Account and its number, with the secrets between them."""

    phone_number_id: str
    waba_id: str
    app_id: str
    display_phone_number: str
    verified_name: str
    app_secret: str
    access_token: str
    verify_token: str
    callback: str = ""
    subscribed: bool = True
    grant: Literal["valid", "expired", "revoked"] = "valid"
    quality_rating: str = "GREEN"
    status: str = "CONNECTED"
    scopes: tuple[str, ...] = ("whatsapp_business_management", "whatsapp_business_messaging")

    def __repr__(self) -> str:
        return f"Account({self.phone_number_id!r}, ...)"


def new_account(name: str = "Waldläufer Outdoor") -> Account:
    """Make a business with secrets of its own."""
    number = f"4331655{secrets.randbelow(100_000):05d}"
    return Account(
        phone_number_id=_digits(15), waba_id=_digits(15), app_id=_digits(16), display_phone_number=number,
        verified_name=name, app_secret=secrets.token_hex(16), access_token="EAA" + secrets.token_urlsafe(90),
        verify_token=secrets.token_urlsafe(18),
    )  # fmt: skip


@dataclass(slots=True)
class Message:
    """One message in a thread, whoever wrote it; body is what Meta's JSON has under its type.

    acknowledged_at is when the platform took a phone's message, told_at when it first took a status of one of
    its own.
    """

    number: int
    id: str
    wa_id: str
    side: Side
    type: str
    body: Any
    at: float
    step: Step
    account: str
    reply_to: str | None = None
    callback_data: str | None = None
    acknowledged_at: float | None = None
    told_at: float | None = None
    attempts: int = 0
    reactions: dict[str, str] = field(default_factory=dict)
    error: dict[str, Any] | None = None
    deleted: bool = False
    edited: bool = False
    buttons: tuple[str, ...] = ()
    preview: str = ""

    def shown(self) -> dict[str, Any]:
        """For the page and the control API."""
        return {
            "number": self.number, "id": self.id, "phone": self.wa_id, "from": self.side, "type": self.type,
            "body": self.body, "text": self.preview, "at": self.at, "step": self.step,
            "account": self.account, "reply_to": self.reply_to, "callback_data": self.callback_data,
            "acknowledged_at": self.acknowledged_at, "told_at": self.told_at, "attempts": self.attempts,
            "reactions": self.reactions, "error": self.error, "deleted": self.deleted, "edited": self.edited,
            "buttons": self.buttons,
        }  # fmt: skip


@dataclass(slots=True)
class Phone:
    """A person's telephone with WhatsApp on it; without_number hides the number behind a user id."""

    wa_id: str
    name: str
    user_id: str
    username: str = ""
    without_number: bool = False
    reachable: bool = True
    last_wrote: float | None = None
    thread: deque[Message] = field(default_factory=lambda: deque(maxlen=THREAD_LIMIT))

    def shown(self) -> dict[str, Any]:
        """For the page and the control API."""
        latest = self.thread[-1] if self.thread else None
        return {
            "phone": self.wa_id, "name": self.name, "user_id": self.user_id, "username": self.username,
            "without_number": self.without_number, "reachable": self.reachable,
            "last_wrote": self.last_wrote, "messages": len(self.thread),
            "latest": None if latest is None else {"text": latest.preview, "at": latest.at},
        }  # fmt: skip


def user_id_of(wa_id: str) -> str:
    """The business-scoped user id of a number: always the same."""
    return f"AT.{int(wa_id) * 7_919 + 1_000_000_000_000_000}"


@dataclass(slots=True)
class Template:
    """An approved text with numbered holes."""

    name: str
    language: str
    body: str
    status: str = "APPROVED"
    category: str = "UTILITY"
    buttons: tuple[str, ...] = ()

    @property
    def holes(self) -> int:
        """How many parameters it takes."""
        return self.body.count("{{")

    def shown(self) -> dict[str, Any]:
        """As the Graph API lists it."""
        components: list[dict[str, Any]] = [{"type": "BODY", "text": self.body}]
        if self.buttons:
            buttons = [{"type": "QUICK_REPLY", "text": text} for text in self.buttons]
            components.append({"type": "BUTTONS", "buttons": buttons})
        return {
            "name": self.name, "language": self.language, "status": self.status, "category": self.category,
            "parameter_format": "POSITIONAL", "components": components,
            "id": str(abs(hash((self.name, self.language))) % 10**15),
        }  # fmt: skip


TEMPLATES = (
    Template("hello_world", "en_US", "Welcome and congratulations!! This message shows that you can send."),
    Template("order_update", "en", "Hello {{1}}, your order {{2}} is on its way.", buttons=("Track", "Help")),
    Template("order_update", "de", "Hallo {{1}}, Ihre Bestellung {{2}} ist unterwegs."),
    Template("order_update", "hr", "Pozdrav {{1}}, Vaša narudžba {{2}} je na putu."),
    Template(
        "reopen", "en", "Hello {{1}}, we have an answer for you. Shall we go on?", buttons=("Yes", "No")
    ),
    Template("summer_sale", "en", "Everything must go.", status="PAUSED", category="MARKETING"),
    Template("too_loud", "en", "BUY NOW!!!", status="REJECTED", category="MARKETING"),
)


def wamid(wa_id: str) -> str:
    """A message id as WhatsApp makes them."""
    inner = b"\x1d\x0b" + wa_id.encode() + b"\x15\x02\x00" + secrets.token_hex(10).upper().encode()
    return "wamid." + base64.b64encode(inner).decode()


def _digits(count: int) -> str:
    return str(secrets.randbelow(9) + 1) + "".join(str(secrets.randbelow(10)) for _ in range(count - 1))


def now() -> float:
    """Seconds since 1970."""
    return time.time()
