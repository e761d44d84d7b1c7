"""The shop of the providers' door, and its fixtures."""

from tests.hooks.conftest import platform, shop

__all__ = ["platform", "shop"]
