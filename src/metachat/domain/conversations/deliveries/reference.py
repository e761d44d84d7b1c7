"""What a provider gives back with each status of a message of ours. Pure."""

from dataclasses import dataclass
from uuid import UUID

from metachat.foundation.ids import MessageId


@dataclass(frozen=True, slots=True)
class Reference:
    """Which message it is, in its how-many-eth round, and which part of it."""

    message: MessageId
    round: int = 0
    part: int = 0
    parts: int = 1

    @property
    def is_last(self) -> bool:
        """Whether all of the message is with the provider once this part is."""
        return self.part + 1 >= self.parts

    def __str__(self) -> str:
        plain = self.round == 0 and self.parts == 1
        return str(self.message) if plain else f"{self.message}.{self.round}.{self.part}.{self.parts}"


def read_reference(text: str) -> Reference | None:
    """Read what came back; None when it is not ours."""
    name, *numbers = text.split(".")
    try:
        return Reference(MessageId(UUID(name)), *(int(number[:4]) for number in numbers[:3]))
    except ValueError:
        return None
