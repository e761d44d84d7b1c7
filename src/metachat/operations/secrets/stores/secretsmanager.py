"""A store in AWS Secrets Manager: one secret each, below a prefix."""

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from metachat.foundation.settings import Secret
from metachat.operations.secrets import aws
from metachat.operations.secrets.contract import (
    Described,
    SecretExists,
    SecretMissing,
    fit_name,
    fit_names,
    fit_value,
)

# What was deleted by mistake can be brought back for a week: aws secretsmanager restore-secret.
RECOVERY_DAYS = 7


class SecretsManagerStore:
    """Secrets named `prefix/name`."""

    def __init__(self, region: str, prefix: str, endpoint: str | None = None) -> None:
        """Keep the place; nothing is called yet."""
        self.region = region
        self.prefix = prefix.strip("/")
        self.aws = aws.Region("secretsmanager", region, endpoint)

    @property
    def address(self) -> str:
        """The region and the prefix."""
        return f"secretsmanager:{self.region}/{self.prefix}"

    def names(self) -> list[str]:
        """List the names, sorted; what is planned to be deleted is left out."""

        def listed(client: Any) -> list[str]:
            only = [{"Key": "name", "Values": [f"{self.prefix}/"]}]
            pages = client.get_paginator("list_secrets").paginate(Filters=only)
            found = [one["Name"] for page in pages for one in page["SecretList"]]
            # The filter looks for the words of the prefix in any case, so it is looked at again.
            below = [
                name.removeprefix(f"{self.prefix}/") for name in found if name.startswith(f"{self.prefix}/")
            ]
            return fit_names(below)

        return self.aws.call(listed)

    def get(self, name: str) -> Secret:
        """Read a value; raises SecretMissing."""
        return Secret(self._read(name)["SecretString"])

    def add(self, name: str, value: Secret) -> None:
        """Keep a new value; raises SecretExists."""
        path, text = self._path(fit_name(name)), fit_value(name, value)
        try:
            self.aws.call(lambda client: client.create_secret(Name=path, SecretString=text))
        except ClientError as error:
            if aws.code(error) not in ("ResourceExistsException", "InvalidRequestException"):
                raise
            if "DeletedDate" not in self._asked(name, lambda client: client.describe_secret(SecretId=path)):
                raise SecretExists(name) from error
            self._revive(name, text)

    def put(self, name: str, value: Secret) -> None:
        """Keep a value as a new version."""
        try:
            self.add(name, value)
        except SecretExists:
            text = fit_value(name, value)
            self._asked(
                name, lambda client: client.put_secret_value(SecretId=self._path(name), SecretString=text)
            )

    def delete(self, name: str) -> None:
        """Plan its deletion; raises SecretMissing."""
        self._asked(
            name,
            lambda client: client.delete_secret(
                SecretId=self._path(name), RecoveryWindowInDays=RECOVERY_DAYS
            ),
        )

    def describe(self, name: str) -> Described:
        """Tell when this version was made; raises SecretMissing."""
        found = self._read(name)
        return Described(name, found["CreatedDate"], found["VersionId"])

    def _revive(self, name: str, text: str) -> None:
        """Bring back what is planned to be deleted, with another value."""
        path = self._path(name)
        self._asked(name, lambda client: client.restore_secret(SecretId=path))
        self._asked(name, lambda client: client.put_secret_value(SecretId=path, SecretString=text))

    def _read(self, name: str) -> dict[str, Any]:
        return self._asked(name, lambda client: client.get_secret_value(SecretId=self._path(name)))

    def _asked(self, name: str, what: Callable[[Any], Any]) -> Any:
        try:
            return self.aws.call(what)
        except ClientError as error:
            # A deletion that is planned is, to whoever asks for the value, a request that is not valid.
            if aws.code(error) in ("ResourceNotFoundException", "InvalidRequestException"):
                raise SecretMissing(name) from error
            raise

    def _path(self, name: str) -> str:
        return f"{self.prefix}/{name}"
