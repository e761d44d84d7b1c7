"""The simulated world: everything in memory and bounded, and whoever watches it is told."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Any

from metachat.simulate import model
from metachat.simulate.deliveries import Deliveries, Patience
from metachat.simulate.files import Files
from metachat.simulate.limits import Limits, Rates
from metachat.simulate.model import Account, Message, Phone, Step, Template
from metachat.simulate.weather import Chance, Invalid

ACCOUNTS_LIMIT = 2_000
PHONES_LIMIT = 100_000
# Messages that the world can find by id, and that the control API can list.
MESSAGES_LIMIT = 300_000
WATCHERS_LIMIT = 100
# What changes another message rather than being one.
SIGNS = ("reaction", "edit", "revoke")
_QUEUE = 2_000

_ORDER: dict[Step, int] = {"waiting": 0, "accepted": 0, "sent": 1, "delivered": 2, "read": 3, "played": 4}


class Habits:
    """What phones do by themselves: how soon statuses follow, in seconds; None for never."""

    def __init__(self) -> None:
        self.sent: float | None = 0.05
        self.delivered: float | None = 0.25
        self.read: float | None = 1.0
        self.late_errors = False

    def change(self, given: dict[str, Any]) -> None:
        """Change the named habits; raises Invalid."""
        for name, value in given.items():
            if name not in vars(self):
                raise Invalid(f"{name} is no habit; these are: {', '.join(vars(self))}")
            if name == "late_errors":
                self.late_errors = bool(value)
            elif value is None or (isinstance(value, int | float) and 0 <= value <= 3_600):
                setattr(self, name, value)
            else:
                raise Invalid(f"{name} is a number of seconds up to 3,600, or null")


class World:
    """Accounts, phones, messages and files, with the weather between them and the platform."""

    def __init__(self, rates: Rates, patience: Patience) -> None:
        self.chance = Chance()
        self.habits = Habits()
        self.limits = Limits(rates)
        self.deliveries = Deliveries(self.chance, patience)
        self.files = Files()
        self.accounts: dict[str, Account] = {}
        self.phones: dict[str, Phone] = {}
        self.by_user_id: dict[str, Phone] = {}
        self.templates: list[Template] = list(model.TEMPLATES)
        self.log: deque[Message] = deque(maxlen=MESSAGES_LIMIT)
        self.number = 0
        self._messages: OrderedDict[str, Message] = OrderedDict()
        self._watchers: set[asyncio.Queue[dict[str, Any]]] = set()
        self._by_token: dict[str, Account] = {}

    def add_account(self, account: Account) -> Account:
        """Found a business; raises Invalid when there are too many."""
        if len(self.accounts) >= ACCOUNTS_LIMIT:
            raise Invalid(f"{ACCOUNTS_LIMIT:,} accounts are enough")
        self.accounts[account.phone_number_id] = account
        self._by_token[account.access_token] = account
        return account

    def account_of_token(self, token: str) -> Account | None:
        """Whose access token this is."""
        return self._by_token.get(token)

    def account(self, number: str = "") -> Account:
        """A business by the id of its number, "" for the first; raises Invalid."""
        found = self.accounts.get(number) if number else next(iter(self.accounts.values()), None)
        if found is None:
            raise Invalid("there is no such account")
        return found

    def phone(self, wa_id: str) -> Phone | None:
        """A phone by its number or by the user id that hides it."""
        return self.phones.get(wa_id.lstrip("+")) or self.by_user_id.get(wa_id)

    def add_phone(self, wa_id: str, name: str = "", **more: Any) -> Phone:
        """Give a person a phone, or find the one with this number; raises Invalid."""
        wa_id = "".join(letter for letter in wa_id if letter.isdigit())
        if not 5 <= len(wa_id) <= 15:
            raise Invalid("a phone number has 5 to 15 digits")
        known = self.phones.get(wa_id)
        if known is None:
            if len(self.phones) >= PHONES_LIMIT:
                raise Invalid(f"{PHONES_LIMIT:,} phones are enough")
            known = Phone(wa_id, name or f"Phone {wa_id[-4:]}", model.user_id_of(wa_id))
            self.phones[wa_id] = self.by_user_id[known.user_id] = known
        known.name = name or known.name
        for key, value in more.items():
            setattr(known, key, value)
        self.tell({"event": "phone", "phone": known.shown()})
        return known

    def find(self, id: str) -> Message | None:
        """A message by its id, as long as it is remembered."""
        return self._messages.get(id)

    def keep(self, message: Message, phone: Phone) -> None:
        """Put a message into its thread."""
        self._messages[message.id] = message
        while len(self._messages) > MESSAGES_LIMIT:
            self._messages.popitem(last=False)
        self.log.append(message)
        if message.type in SIGNS:
            return
        phone.thread.append(message)
        if self._watchers:
            self.tell({"event": "message", "message": message.shown()})

    def next_number(self) -> int:
        """The next place in the order of everything that happens here."""
        self.number += 1
        return self.number

    def advance(self, message: Message, step: Step, error: dict[str, Any] | None = None) -> bool:
        """Move a message on, never back; tells whether it moved."""
        if step == "failed":
            if message.step == "failed":
                return False
        elif message.step == "failed" or _ORDER[step] <= _ORDER[message.step]:
            return False
        message.step, message.error = step, error or message.error
        if self._watchers and message.type not in SIGNS:
            self.tell({"event": "message", "message": message.shown()})
        return True

    def since(self, number: int, side: str, limit: int) -> list[Message]:
        """What came after this place in the order, oldest first."""
        found = [item for item in self.log if item.number > number and side in ("", item.side)]
        return found[:limit]

    def tell(self, event: dict[str, Any]) -> None:
        """Tell everybody who watches; whoever is too slow learns that something was lost."""
        for queue in self._watchers:
            if queue.full():
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait({"event": "lost"})
            else:
                queue.put_nowait(event)

    def watch(self) -> asyncio.Queue[dict[str, Any]]:
        """Begin to watch; raises Invalid when too many do."""
        if len(self._watchers) >= WATCHERS_LIMIT:
            raise Invalid(f"{WATCHERS_LIMIT} watchers are enough")
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(_QUEUE)
        self._watchers.add(queue)
        return queue

    def unwatch(self, queue: asyncio.Queue[dict[str, Any]]) -> None:
        """Watch no longer."""
        self._watchers.discard(queue)

    def threads(self) -> Iterator[Phone]:
        """Phones, those that wrote or heard last first."""
        return iter(
            sorted(self.phones.values(), key=lambda phone: phone.thread[-1].at if phone.thread else 0.0)[::-1]
        )
