"""Visitors of a web chat: who holds a token may read and write one conversation, and nothing else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import GuestProtocol, OctKey

from metachat.foundation import clock
from metachat.foundation.db import Database
from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.ids import ChannelId, ConversationId, TenantId
from metachat.foundation.keyring import Keyring
from metachat.foundation.scope import Scope, open_scope
from metachat.foundation.settings import Secret

REALM = "metachat"
AUDIENCE = "visitor"
LIFETIME = timedelta(days=90)


class TokenRefused(Refusal):
    """This chat's token is not valid any more; start a new session."""

    code, kind = "visitor_token_refused", Kind.UNAUTHENTICATED


@dataclass(frozen=True, slots=True)
class Visitor:
    """Whom a token stands for; `contact` is the name by which the channel knows them."""

    tenant: TenantId
    channel: ChannelId
    contact: str
    conversation: ConversationId


class Tokens:
    """Signs and reads visitors' tokens."""

    def __init__(self, secret: Secret) -> None:
        ring = Keyring.of(secret)
        self._current = ring.current.id
        self._keys = {key.id: OctKey.import_key(key.value) for key in ring.keys}

    def issue(self, visitor: Visitor, now: datetime | None = None) -> str:
        """Sign a token for a visitor."""
        expires = (now or clock.now()) + LIFETIME
        claims = {
            "iss": REALM, "aud": AUDIENCE, "sub": visitor.contact, "exp": int(expires.timestamp()),
            "tenant": str(visitor.tenant), "channel": str(visitor.channel),
            "conversation": str(visitor.conversation),
        }  # fmt: skip
        header = {"alg": "HS256", "kid": self._current}
        return jwt.encode(header, claims, self._keys[self._current], algorithms=["HS256"])

    def read(self, token: str, channel: ChannelId) -> Visitor:
        """Tell whose token this is; raises TokenRefused for any but a living one of this very channel."""
        try:
            claims = jwt.decode(token, self._named, algorithms=["HS256"]).claims
            visitor = Visitor(
                tenant=TenantId(UUID(claims["tenant"])),
                channel=ChannelId(UUID(claims["channel"])),
                contact=str(claims["sub"]),
                conversation=ConversationId(UUID(claims["conversation"])),
            )
            living = int(claims["exp"]) > clock.now().timestamp()
        except (JoseError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise TokenRefused from error
        ours = (claims.get("iss"), claims.get("aud")) == (REALM, AUDIENCE)
        if not (ours and living and visitor.channel == channel):
            raise TokenRefused
        return visitor

    def _named(self, token: GuestProtocol) -> OctKey:
        # Raises KeyError for a key that is not, or no longer, ours.
        return self._keys[token.headers()["kid"]]


@asynccontextmanager
async def scope_of(database: Database, visitor: Visitor) -> AsyncIterator[Scope]:
    """Open a transaction as a visitor, in the tenant that the token names."""
    async with open_scope(database, visitor.tenant, actor=f"visitor:{visitor.contact}") as scope:
        yield scope
