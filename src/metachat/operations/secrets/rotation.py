"""Another value in place of a secret's old one, by the procedure that its use asks for."""

from collections.abc import Callable
from dataclasses import dataclass

from metachat.operations.secrets.contract import Store, StoreRefusal
from metachat.operations.secrets.known import find, make


class NoProcedure(StoreRefusal):
    """This secret cannot be replaced by a mere new value."""

    code = "no_procedure"


@dataclass(frozen=True, slots=True)
class Rotated:
    """What was done, and what is left to do; never a value."""

    name: str
    told: str


Rotation = Callable[[Store, str], Rotated]


def rotate(store: Store, name: str) -> Rotated:
    """Rotate a secret; raises NoProcedure, UnfitName, SecretMissing."""
    one = find(name)
    if name in ROTATIONS:
        return ROTATIONS[name](store, name)
    if one.made_here:
        raise NoProcedure(
            f"{name}: what is sealed, hashed or signed with it would be lost.",
            f"Run: metachat secrets rotate {name}",
        )
    raise NoProcedure(
        f"{name} is made by whoever issued it.",
        f"Let them make a new one, then run: metachat secrets set {name}",
    )


def replace(store: Store, name: str) -> Rotated:
    """Put a new random key in place of the old one: for keys under which nothing is kept."""
    store.get(name)
    store.put(name, make())
    return Rotated(name, f"{name} has a new value; the processes take it at their next start.")


# Keys that the database's rows are sealed, hashed or signed with; operations.keys rotates them.
IN_DATABASE = ("session_secret", "api_key_pepper", "encryption_key")

# Whose secret needs more than a new value registers its procedure here.
ROTATIONS: dict[str, Rotation] = {"cli_token": replace, "metrics_token": replace}
