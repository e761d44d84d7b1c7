"""Names that say secret, and what stands beside them in any text."""

import functools
import re

HIDDEN = "[redacted]"

_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_TELLING = frozenset({
    "authorization", "authentication", "cookie", "cookies", "password", "passwd", "passphrase", "secret",
    "secrets", "token", "pepper", "dsn", "credential", "credentials", "apikey", "signature", "jwt", "csrf",
})  # fmt: skip
_LAST = frozenset({"key", "keys"})
# `session_secret_file` and `api_key_id` tell where and which, not what.
_HARMLESS = frozenset({"id", "ids", "file", "path", "count", "name", "at", "kind", "length", "age", "safe"})

_NAMES = (
    r"(?:authorization|cookie|password|passwd|passphrase|secret|token|pepper|dsn|credential|api[-_ ]?key"
    r"|signature)"
)
# Each with parts of which a text must have one: most have none, and looking for them costs next to nothing.
_BESIDE = tuple(
    (needles, re.compile(pattern), rf"{kept}{HIDDEN}")
    for needles, pattern, kept in (
        # Not "the basic idea".
        (
            ("bearer", "basic"),
            r"(?i)\b((?:bearer|basic)(?:[ +]|%20))(?=[^\s\"',;]*[\d_.=-])[\w.~+/=%-]{4,}", r"\1",
        ),
        (("://",), r"(://[^/\s:@\"'\\]*:)[^/\s@\"'\\]+(?=@)", r"\1"),
        # In JSON, in Python's repr, and both once more inside of a string.
        (("\"", "'"), rf"(?i)({_NAMES}\w{{0,2}}\\?[\"']\s*:\s*b?\\?[\"'])[^\"'\\]+", r"\1"),
        (("=",), rf"(?i)({_NAMES}\w{{0,2}}=)[^\s&;,\"'\\)]+", r"\1"),
        (("?", "&"), r"(?i)([?&](?:key|code|sig)=)[^\s&;,\"'\\)]+", r"\1"),
        ((": ",), r"(?i)\b((?:set-)?cookie: |x-[\w-]*(?:key|token): )[^\r\n\"'\\]+", r"\1"),
        ((": ",), r"(?i)\b(authorization: )(?!bearer \[|basic \[)[^\r\n\"'\\]+", r"\1"),
        # Our own keys and sessions, and those of models.
        (("mc_", "mcs_", "sk-"), r"\b(mc_|mcs_|sk-)(?=[\w-]*\d)[\w-]{3,}", r"\1"),
        # What Postgres, its driver and validators say of the values that they were given.
        (("query argument",), r"(?s)(invalid input for query argument \$\d+: ).*?(?= \()", r"\1"),
        (("detail:", "failing row"), r"(DETAIL:  |Failing row contains )(?:(?!\\n)[^\n\"])+", r"\1"),
        (("input_value=",), r"(input_value=).*?(?=, input_type)", r"\1"),
        (("enum value",), r"(Invalid enum value )\S+", r"\1"),
    )
)  # fmt: skip


# Programs have a few hundred names for their fields; whatever comes from elsewhere makes no more than this.
@functools.lru_cache(maxsize=1024)
def is_secret_name(name: str) -> bool:
    """Tell whether what stands under a name is a secret."""
    parts = [part.lower() for part in _PARTS.findall(name)]
    if not parts or parts[-1] in _HARMLESS:
        return False
    return parts[-1] in _LAST or not _TELLING.isdisjoint(parts)


def without_what_is_named(text: str) -> str:
    """Replace what stands beside a name that says secret, and what has a secret's form."""
    lowered = text.lower()
    for needles, pattern, stand_in in _BESIDE:
        if any(needle in lowered for needle in needles):
            text = pattern.sub(stand_in, text)
    return text
