"""A simulated Meta on this machine: WhatsApp's Graph API, webhooks, phones, and misbehaviour on demand."""

from metachat.simulate.meta import Meta, Refused, Seen, process, thread
from metachat.simulate.model import Account, new_account

__all__ = ["Account", "Meta", "Refused", "Seen", "new_account", "process", "thread"]
