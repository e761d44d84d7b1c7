"""The web chat's public side: POST to send, Server-Sent Events to receive."""

from metachat.web.chat.asking import Asked, ask
from metachat.web.chat.door import ChatDoor, door
from metachat.web.chat.limits import Limits, Rate

__all__ = ["Asked", "ChatDoor", "Limits", "Rate", "ask", "door"]
