"""Keys by their ids: the one in use, and those that still are accepted or soon will be."""

from dataclasses import dataclass, field

from metachat.foundation.crypto import token_hash
from metachat.foundation.fingerprint import fingerprint
from metachat.foundation.settings import Secret
from metachat.foundation.settings.rings import keys_in, ring_of


@dataclass(frozen=True, slots=True)
class Key:
    """One key; its id is its fingerprint, and may be shown."""

    id: str
    value: bytes = field(repr=False)

    @classmethod
    def of(cls, text: str) -> "Key":
        """The key that is written so."""
        return cls(fingerprint(text), text.encode())


@dataclass(frozen=True, slots=True)
class Keyring:
    """Keys for one purpose, the one in use first."""

    keys: tuple[Key, ...]

    @classmethod
    def of(cls, secret: Secret | str | None) -> "Keyring":
        """The ring that a setting holds: a key alone, or several as `ID:KEY ID:KEY`; raises Fault."""
        assert secret is not None, "settings are loaded for the process that uses them"
        text = secret if isinstance(secret, str) else secret.reveal()
        return cls(tuple(Key.of(key) for key in keys_in(text)))

    @property
    def current(self) -> Key:
        """The key in use: what is new is sealed, signed or hashed with it."""
        return self.keys[0]

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids, the one in use first."""
        return tuple(key.id for key in self.keys)

    def find(self, id: str) -> Key | None:
        """The key with an id, or None."""
        return next((key for key in self.keys if key.id == id), None)

    def first(self, id: str) -> "Keyring":
        """The same keys with another one in use; raises KeyError when it is not among them."""
        chosen = self.find(id)
        if chosen is None:
            raise KeyError(id)
        return Keyring((chosen, *(key for key in self.keys if key.id != id)))

    def also(self, key: Key) -> "Keyring":
        """The same ring, which accepts one more key."""
        return self if self.find(key.id) else Keyring((*self.keys, key))

    def without(self, id: str) -> "Keyring":
        """The same ring without a key that is not in use."""
        return Keyring(tuple(key for key in self.keys if key.id != id or key is self.current))

    def to_secret(self) -> Secret:
        """The ring as one value of a setting."""
        return Secret(ring_of(tuple(key.value.decode() for key in self.keys)))

    def hashes(self, token: str) -> tuple[str, ...]:
        """The hashes under which a token may be stored, the one that new tokens get first."""
        return tuple(token_hash(token, key.value) for key in self.keys)
