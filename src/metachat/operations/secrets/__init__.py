"""The platform's own secrets: kept, made, checked, handed out, and put into the safe."""

from metachat.operations.secrets.contract import (
    Described,
    SecretExists,
    SecretMissing,
    Store,
    StoreBusy,
    StoreDamaged,
    StoreForbidden,
    StoreMissing,
    StoreReadOnly,
    StoreRefusal,
    StoreSealed,
    StoreUnreachable,
    UnfitName,
    UnfitValue,
)
from metachat.operations.secrets.opening import Place, open_store, place_of

__all__ = [
    "Described",
    "Place",
    "SecretExists",
    "SecretMissing",
    "Store",
    "StoreBusy",
    "StoreDamaged",
    "StoreForbidden",
    "StoreMissing",
    "StoreReadOnly",
    "StoreRefusal",
    "StoreSealed",
    "StoreUnreachable",
    "UnfitName",
    "UnfitValue",
    "open_store",
    "place_of",
]
