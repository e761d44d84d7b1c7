"""Settings: each declared once, all validated before anything starts, all problems told at once."""

from metachat.foundation.settings.declaration import (
    FILE_SUFFIX,
    PREFIX,
    PROCESSES,
    Declared,
    Mode,
    Process,
    variable,
)
from metachat.foundation.settings.declared import DECLARED
from metachat.foundation.settings.judging import judge
from metachat.foundation.settings.kept import read_secrets, write_secrets
from metachat.foundation.settings.loading import Examined, examine, load
from metachat.foundation.settings.model import Settings
from metachat.foundation.settings.names import nearest
from metachat.foundation.settings.problems import Fault, InvalidSettings, Problem
from metachat.foundation.settings.secret import Secret
from metachat.foundation.settings.sources import (
    CREDENTIALS,
    SECRETS_FILE,
    Gathered,
    Given,
    data_dir,
    of_env_file,
    of_process,
)

__all__ = [
    "CREDENTIALS",
    "DECLARED",
    "FILE_SUFFIX",
    "PREFIX",
    "PROCESSES",
    "SECRETS_FILE",
    "Declared",
    "Examined",
    "Fault",
    "Gathered",
    "Given",
    "InvalidSettings",
    "Mode",
    "Problem",
    "Process",
    "Secret",
    "Settings",
    "data_dir",
    "examine",
    "judge",
    "load",
    "nearest",
    "of_env_file",
    "of_process",
    "read_secrets",
    "variable",
    "write_secrets",
]
