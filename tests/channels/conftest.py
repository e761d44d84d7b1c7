"""A shop with a WhatsApp channel, seen from both sides, and the people of two tenants."""

from tests.hooks.conftest import Shop, platform, shop
from tests.web.conftest import acme, nobody, rival

__all__ = ["Shop", "acme", "nobody", "platform", "rival", "shop"]
