"""Who hears of alerts: one contract, and a file for each kind of receiver."""

from metachat.operations.monitoring.receivers.contract import Answer, Message, Receiver, Severity, State
from metachat.operations.monitoring.receivers.opening import NoMailServer, open_all, open_one, secret_of
from metachat.operations.monitoring.receivers.sending import deliver

__all__ = [
    "Answer",
    "Message",
    "NoMailServer",
    "Receiver",
    "Severity",
    "State",
    "deliver",
    "open_all",
    "open_one",
    "secret_of",
]
