"""The demo shop: a tenant with a help centre, made by the same verbs that everybody uses."""

from metachat.demo.seed import DEMO_SLUG, Seeded, seed

__all__ = ["DEMO_SLUG", "Seeded", "seed"]
