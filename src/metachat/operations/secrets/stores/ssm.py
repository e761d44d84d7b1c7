"""A store in AWS Systems Manager's Parameter Store: one SecureString a secret, below a prefix."""

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


class ParameterStore:
    """Secrets as parameters `/prefix/name`."""

    def __init__(self, region: str, prefix: str, endpoint: str | None = None) -> None:
        """Keep the place; nothing is called yet."""
        self.region = region
        self.prefix = prefix.strip("/")
        self.aws = aws.Region("ssm", region, endpoint)

    @property
    def address(self) -> str:
        """The region and the prefix."""
        return f"ssm:{self.region}/{self.prefix}"

    def names(self) -> list[str]:
        """List the names, sorted."""

        def listed(client: Any) -> list[str]:
            pages = client.get_paginator("get_parameters_by_path").paginate(Path=f"/{self.prefix}")
            return fit_names(one["Name"].rpartition("/")[2] for page in pages for one in page["Parameters"])

        return self.aws.call(listed)

    def get(self, name: str) -> Secret:
        """Read a value; raises SecretMissing."""
        return Secret(self._read(name)["Value"])

    def add(self, name: str, value: Secret) -> None:
        """Keep a new value; raises SecretExists."""
        try:
            self._write(name, value, {"Overwrite": False})
        except ClientError as error:
            if aws.code(error) == "ParameterAlreadyExists":
                raise SecretExists(name) from error
            raise

    def put(self, name: str, value: Secret) -> None:
        """Keep a value as a new version."""
        self._write(name, value, {"Overwrite": True})

    def delete(self, name: str) -> None:
        """Forget a secret; raises SecretMissing."""
        self._asked(name, lambda client: client.delete_parameter(Name=self._path(name)))

    def describe(self, name: str) -> Described:
        """Tell when this version was made; raises SecretMissing."""
        found = self._read(name)
        return Described(name, found["LastModifiedDate"], str(found["Version"]))

    def _read(self, name: str) -> dict[str, Any]:
        answer = self._asked(
            name, lambda client: client.get_parameter(Name=self._path(name), WithDecryption=True)
        )
        return answer["Parameter"]

    def _asked(self, name: str, what: Callable[[Any], Any]) -> Any:
        try:
            return self.aws.call(what)
        except ClientError as error:
            if aws.code(error) == "ParameterNotFound":
                raise SecretMissing(name) from error
            raise

    def _write(self, name: str, value: Secret, how: dict[str, bool]) -> None:
        path, text = self._path(fit_name(name)), fit_value(name, value)
        self.aws.call(lambda client: client.put_parameter(Name=path, Value=text, Type="SecureString", **how))

    def _path(self, name: str) -> str:
        return f"/{self.prefix}/{name}"
