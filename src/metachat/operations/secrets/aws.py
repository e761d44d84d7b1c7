"""What both stores at AWS need: a client with bounded time, and its errors named."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from metachat.operations.secrets.contract import StoreBusy, StoreForbidden, StoreUnreachable
from metachat.operations.secrets.within import SECONDS, within

T = TypeVar("T")

_THROTTLES = ("ThrottlingException", "TooManyUpdates", "RequestLimitExceeded", "LimitExceededException")
_FORBIDDEN = (
    "AccessDeniedException", "AccessDenied", "UnrecognizedClientException", "InvalidClientTokenId",
    "ExpiredTokenException", "ExpiredToken", "InvalidSignatureException", "SignatureDoesNotMatch",
    "MissingAuthenticationToken", "KMSAccessDeniedException", "DecryptionFailure", "EncryptionFailure",
    "InvalidKeyId",
)  # fmt: skip


class Region:
    """One service in one region; the credentials are those that boto3 finds (instance role, profile, ...)."""

    def __init__(self, service: str, region: str, endpoint: str | None, seconds: float = SECONDS) -> None:
        """Keep what the client needs; it is made at the first call."""
        self.where = f"{service} in {region}"
        self.seconds = seconds
        self._made = (service, region, endpoint)
        self._client: Any = None

    def call(self, what: Callable[[Any], T]) -> T:
        """Call with the client, within the time; ClientErrors of the service's own meaning come through."""
        with _failures_named(self.where):
            return within(self.seconds, self.where, lambda: what(self._connected()))

    def _connected(self) -> Any:
        if self._client is None:
            service, region, endpoint = self._made
            # Never sent twice: an `add` whose answer came late would find itself, and say that it exists.
            bounds = Config(
                connect_timeout=self.seconds, read_timeout=self.seconds, retries={"total_max_attempts": 1}
            )
            # One of some four hundred services by name: more than the types can follow.
            session: Any = boto3.session.Session()
            self._client = session.client(service, region_name=region, endpoint_url=endpoint, config=bounds)
        return self._client


def code(error: ClientError) -> str:
    """The service's own name of an error."""
    return str(error.response.get("Error", {}).get("Code", ""))


@contextlib.contextmanager
def _failures_named(where: str) -> Iterator[None]:
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise StoreForbidden(
            f"{where}: no credentials.", "Give the machine a role, or set AWS_PROFILE."
        ) from error
    except ClientError as error:
        name = code(error)
        if name in _FORBIDDEN:
            raise StoreForbidden(
                f"{where}: {name}.", "Check the role's policy for this prefix and its key."
            ) from error
        if name in _THROTTLES:
            raise StoreBusy(f"{where}: {name}.", "Try again in a minute.") from error
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500:
            raise StoreUnreachable(
                f"{where}: {name}.", "Try again; see the provider's status page."
            ) from error
        raise
    except BotoCoreError as error:
        raise StoreUnreachable(
            f"{where}: {type(error).__name__}.", "See whether the endpoint can be reached from here."
        ) from error
