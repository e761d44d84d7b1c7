"""Names of variables: which are ours, and what an unknown one was meant to be."""

import importlib

from metachat.foundation.settings.declaration import FILE_SUFFIX, PREFIX, variable
from metachat.foundation.settings.declared import DECLARED, OTHER_NAMES
from metachat.foundation.settings.problems import Problem

_ALIKE = 0.6
_NEARLY = 0.8


def setting(name: str) -> str:
    """The setting of a variable; only capitals are names of ours, so others give one that isn't declared."""
    return name.removeprefix(PREFIX).lower() if name == name.upper() else name


def is_unknown(name: str) -> bool:
    """Whether a name with our prefix is neither a setting nor one of the others we speak of."""
    return name not in OTHER_NAMES


def has_nearly_our_prefix(name: str) -> bool:
    """Whether a name begins almost as ours do: METCHAT_PORT, META_CHAT_PORT."""
    beginning, _, rest = name.upper().replace("META_CHAT", "METACHT").partition("_")
    if not rest or beginning[:1] != PREFIX[0] or abs(len(beginning) - len(PREFIX) + 1) > 1:
        return False
    difflib = importlib.import_module("difflib")
    return difflib.SequenceMatcher(None, beginning, PREFIX[:-1]).ratio() > _NEARLY


def unknown(name: str) -> Problem:
    """Tell of an unknown name, with the nearest known one."""
    near = nearest(name)
    fix = f"Did you mean {near}?" if near else "Take it out, or look the name up: metachat config example"
    return Problem(name, "is no setting of metachat", near or "a known name", fix)


def nearest(name: str) -> str | None:
    """The declared variable that a name was probably meant to be, None when none is near."""
    known = [variable(one) for one in DECLARED]
    # Imported here: most starts have no unknown name, and need not wait for it.
    difflib = importlib.import_module("difflib")
    # Of METCHAT_PORT, what follows the prefix counts.
    plain = name.upper().replace("META_CHAT_", PREFIX)
    plain = plain if plain.startswith(PREFIX) else PREFIX + plain.partition("_")[2]
    suffix = FILE_SUFFIX if plain.endswith(FILE_SUFFIX) else ""
    wanted = plain.removesuffix(suffix).removeprefix(PREFIX)
    found = difflib.get_close_matches(wanted, [one.removeprefix(PREFIX) for one in known], 1, _ALIKE)
    return f"{PREFIX}{found[0]}{suffix}" if found else None
