"""What a child process is given of our environment."""

import os
from collections.abc import Mapping

from metachat.foundation.settings.declaration import variable
from metachat.foundation.settings.declared import DECLARED

_SECRETS = frozenset(variable(name) for name, declared in DECLARED.items() if declared.secret)


def without_secrets(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for a child that needs none of our secrets; `_FILE` variables only name files."""
    environ = os.environ if environ is None else environ
    return {name: text for name, text in environ.items() if name not in _SECRETS}
