"""Every encrypted column of the database: named once, for whoever writes, rotates, checks or restores.

The product seals through these names and the operations walk them, so that none is ever forgotten.
"""

import base64
import binascii
from dataclasses import dataclass
from uuid import UUID

from metachat.foundation.crypto import SealBroken
from metachat.foundation.sealing import Place


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """A column with sealed values of tenants, of type bytea; or, with a path, base64 inside of a jsonb.

    `row` is the column, of type `row_type`, that tells rows of one tenant apart; empty where it has but one.
    """

    table: str
    column: str
    row: str = ""
    row_type: str = "uuid"
    path: str = ""

    @property
    def name(self) -> str:
        """What it is called to people, and what its values are bound to."""
        return f"{self.table}.{self.column}{f'.{self.path}' if self.path else ''}"

    def place(self, tenant: UUID, row: object = "") -> Place:
        """The place of one row's value."""
        column = f"{self.column}.{self.path}" if self.path else self.column
        return Place(tenant, self.table, column, str(row))

    def stored(self, sealed: bytes) -> bytes | str:
        """A sealed value as the column keeps it."""
        return base64.b64encode(sealed).decode() if self.path else sealed

    def sealed(self, stored: bytes | str) -> bytes:
        """The sealed value that the column keeps; raises SealBroken when it is none."""
        if isinstance(stored, bytes):
            return stored
        try:
            return base64.b64decode(stored, validate=True)
        except (binascii.Error, ValueError) as error:
            raise SealBroken("it is no sealed value") from error


ANSWERS = SealedColumn("idempotency_keys", "body_sealed", row="key", row_type="text")
MODEL_KEYS = SealedColumn("assistants", "api_key_sealed")
FALLBACK_KEYS = SealedColumn("assistant_fallbacks", "api_key_sealed", row="place", row_type="smallint")
APP_SECRETS = SealedColumn("channels", "settings", row="id", path="app_secret")
ACCESS_TOKENS = SealedColumn("channels", "settings", row="id", path="access_token")
VERIFY_TOKENS = SealedColumn("channels", "settings", row="id", path="verify_token")

SEALED_COLUMNS = (ANSWERS, MODEL_KEYS, FALLBACK_KEYS, APP_SECRETS, ACCESS_TOKENS, VERIFY_TOKENS)
