"""Channels: the doors through which customers write, and what each kind of door must be able to do."""

from metachat.domain.channels.actions import configure, create, find, of_tenant, reveal, test_channel
from metachat.domain.channels.contract import Address, Inbound, RawRequest, Receipt
from metachat.domain.channels.model import Channel, ChannelKind, ChannelNotFound, ChannelPaused

__all__ = [
    "Address",
    "Channel",
    "ChannelKind",
    "ChannelNotFound",
    "ChannelPaused",
    "Inbound",
    "RawRequest",
    "Receipt",
    "configure",
    "create",
    "find",
    "of_tenant",
    "reveal",
    "test_channel",
]
