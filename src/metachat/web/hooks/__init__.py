"""Where providers deliver: stored durably before it is acknowledged, understood afterwards."""

from metachat.web.hooks.door import HookDoor, door
from metachat.web.hooks.intake import Intake, Overloaded

__all__ = ["HookDoor", "Intake", "Overloaded", "door"]
