"""Channels: the doors through which customers write, and what each kind of door must be able to do."""

from metachat.domain.channels.actions import configure, create, find, of_tenant, reveal, test_channel
from metachat.domain.channels.contract import (
    Arrival,
    Form,
    Inbound,
    Notice,
    OtherNumber,
    Progress,
    Provider,
    Reaction,
    Revision,
    Step,
    Unparsed,
)
from metachat.domain.channels.model import Channel, ChannelKind, ChannelNotFound, ChannelPaused

__all__ = [
    "Arrival",
    "Channel",
    "ChannelKind",
    "ChannelNotFound",
    "ChannelPaused",
    "Form",
    "Inbound",
    "Notice",
    "OtherNumber",
    "Progress",
    "Provider",
    "Reaction",
    "Revision",
    "Step",
    "Unparsed",
    "configure",
    "create",
    "find",
    "of_tenant",
    "reveal",
    "test_channel",
]
