"""A shop with a WhatsApp channel, seen from both sides."""

from tests.hooks.conftest import Shop, platform, shop

__all__ = ["Shop", "platform", "shop"]
