"""The secrets that the platform knows: what each is for, who makes it, and how old it may get."""

import difflib
import secrets
from dataclasses import dataclass

from metachat.foundation.settings import DECLARED, Given, Mode, Secret
from metachat.foundation.settings.judging import judge
from metachat.operations.secrets.contract import UnfitName, UnfitValue, fit_name, fit_value

# Keys that we make ourselves, of 256 random bits.
_KEYS = ("session_secret", "api_key_pepper", "encryption_key", "cli_token")

# With what opens the metrics of a site, which no installation needs to run.
MADE = (*_KEYS, "metrics_token")

# Addresses with a password in them, and the role that signs in with it.
DATABASES = {
    "owner_database_url": "metachat_owner",
    "database_url": "metachat_app",
    "worker_database_url": "metachat_worker",
}

# What an installation cannot do without.
NEEDED = (*_KEYS, *DATABASES)

# What receivers of alerts are reached by: named in the site file, and no settings.
OF_ALERTS = "alert_"

# A key is rotated once a year, so that the procedure is known to work before it is needed in a hurry.
DAYS = 365


@dataclass(frozen=True, slots=True)
class Known:
    """One secret: its sentence, and how old its value may get."""

    name: str
    sentence: str
    days: int = DAYS

    @property
    def made_here(self) -> bool:
        """Whether we make it: the others come from whoever issued them."""
        return self.name in MADE


def known() -> dict[str, Known]:
    """List every secret setting by name."""
    return {name: Known(name, declared.sentence) for name, declared in DECLARED.items() if declared.secret}


def find(name: str) -> Known:
    """Find a secret by name; raises UnfitName with the nearest known one."""
    fit_name(name)
    if name.startswith(OF_ALERTS):
        return Known(name, "Address or key of whoever hears of alerts.")
    everything = known()
    if name not in everything:
        near = difflib.get_close_matches(name, everything, n=1)
        advice = f"Did you mean {near[0]}?" if near else f"Known are: {', '.join(everything)}."
        # What is like no name at all may be the value, in the wrong place.
        raise UnfitName(f"There is no secret setting {name if near else 'of this name'}.", advice)
    return everything[name]


def faults(name: str, value: Secret, mode: Mode) -> list[str]:
    """Tell why the platform would not start with a value, never the value; empty when it would."""
    if name not in DECLARED:
        return []
    _, problems = judge(name, Given(value.reveal(), "store"), mode)
    return [f"{one.problem}; expected {one.expected}" for one in problems]


def check(name: str, value: Secret, mode: Mode) -> None:
    """Refuse a value that the platform would not start with; raises UnfitName, UnfitValue."""
    find(name)
    fit_value(name, value)
    found = faults(name, value, mode)
    if found:
        raise UnfitValue(
            f"{name} {'; '.join(found)}.", f"Check what you gave; see: metachat config explain {name}"
        )


def make() -> Secret:
    """Make a key of 256 random bits."""
    return Secret(secrets.token_urlsafe(32))
