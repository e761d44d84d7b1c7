"""Forgets what deliveries leave behind, with the daily tidying."""

from metachat.domain.conversations.deliveries import store
from metachat.foundation.db import Transaction


async def forget_old(db: Transaction) -> int:
    """Delete a step's worth of what providers told long ago, and limits that nobody is near any more."""
    await db.execute(store.FORGET_PACES)
    return await db.execute(store.FORGET_RECEIPTS)
