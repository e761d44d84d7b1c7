"""The bundle for the safe: every secret in one age file, which plain age opens too, years from now."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from metachat.foundation import clock
from metachat.foundation.fingerprint import fingerprint
from metachat.foundation.settings import Secret
from metachat.foundation.settings.rings import keys_in
from metachat.operations import age
from metachat.operations.secrets.contract import SecretExists, Store, StoreDamaged, read_all
from metachat.operations.secrets.known import MADE, known

FORM = "metachat secrets, escrow bundle 1"
_SURE = "Check the file and the key; each bundle is opened by the recovery key of its day."


@dataclass(frozen=True, slots=True)
class Escrowed:
    """One secret in the bundle; fingerprint is empty where there could be guessed at a value."""

    name: str
    value: Secret
    fingerprint: str
    made_at: str
    restores: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """What lies in the safe."""

    made_at: str
    store: str
    secrets: tuple[Escrowed, ...]

    def to_json(self) -> bytes:
        """Write it for encryption."""
        content = {
            "form": FORM, "made_at": self.made_at, "store": self.store,
            "to_restore": "metachat secrets escrow --open FILE --identity RECOVERY-KEY --to STORE",
            "secrets": [_plain(one) for one in self.secrets],
        }  # fmt: skip
        return json.dumps(content, indent=2, ensure_ascii=False).encode()


def gather(store: Store) -> Bundle:
    """Read everything that a store keeps; raises StoreRefusal."""
    sentences = {name: one.sentence for name, one in known().items()}
    escrowed = tuple(
        Escrowed(name, value, shown_fingerprint(name, value), _date(store, name), sentences.get(name, ""))
        for name, value in read_all(store).items()
    )
    return Bundle(clock.now().isoformat(timespec="seconds"), store.address, escrowed)


def parse(plain: bytes) -> Bundle:
    """Read what was decrypted; raises StoreDamaged."""
    try:
        found = json.loads(plain)
        if found["form"] != FORM:
            raise ValueError(found["form"])
        escrowed = tuple(_escrowed(one) for one in found["secrets"])
        return Bundle(found["made_at"], found["store"], escrowed)
    except (ValueError, KeyError, TypeError) as error:
        raise StoreDamaged("This is no escrow bundle that this version reads.", _SURE) from error


def open_bundle(content: bytes, key: Secret) -> Bundle:
    """Decrypt a bundle with an identity, or with the passphrase it was made with; raises StoreDamaged."""
    unlock = age.decrypt if age.is_identity(key) else age.unlock
    try:
        return parse(unlock(content, key))
    except age.NotOpened as error:
        raise StoreDamaged(f"The bundle does not open: {error}.", _SURE) from error


def compare(bundle: Bundle, store: Store) -> dict[str, str]:
    """Tell of each name in either whether the store has the bundle's value: same, other, missing, newer."""
    values: Mapping[str, Secret] = read_all(store)
    found = {
        one.name: "missing"
        if one.name not in values
        else "same"
        if values[one.name] == one.value
        else "other"
        for one in bundle.secrets
    }
    return {**found, **{name: "newer" for name in values if name not in found}}


def restore(bundle: Bundle, store: Store) -> dict[str, str]:
    """Put into a store what it lacks; what it has is kept. Tells of each name: restored, same, or kept."""
    told: dict[str, str] = {}
    for one in bundle.secrets:
        try:
            store.add(one.name, one.value)
            told[one.name] = "restored"
        except SecretExists:
            told[one.name] = "same" if store.get(one.name) == one.value else "kept"
    return told


def shown_fingerprint(name: str, value: Secret) -> str:
    """The fingerprints of random keys; empty for what people choose, where guesses could be checked."""
    return " ".join(map(fingerprint, keys_in(value.reveal()))) if name in MADE else ""


def _plain(one: Escrowed) -> dict[str, str]:
    return {
        "name": one.name, "value": one.value.reveal(), "fingerprint": one.fingerprint, "made_at": one.made_at,
        "restores": one.restores,
    }  # fmt: skip


def _escrowed(one: Mapping[str, str]) -> Escrowed:
    return Escrowed(one["name"], Secret(one["value"]), one["fingerprint"], one["made_at"], one["restores"])


def _date(store: Store, name: str) -> str:
    made_at: datetime | None = store.describe(name).made_at
    return made_at.isoformat(timespec="seconds") if made_at else ""
