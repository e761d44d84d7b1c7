"""Whether a line tells a secret: pure rules over a path and its text."""

import math
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath

from metachat.foundation.settings.strength import is_placeholder
from metachat.operations.leaks.formats import ADDRESS, KNOWN
from metachat.operations.leaks.model import Leak, Source, fingerprint

# A name that says that its value is a secret.
_SECRET_NAME = re.compile(
    r"(?:^|[_\-.])(?:password|passwd|passphrase|pwd|secret|secrets|token|api[_-]?key|apikey|private[_-]?key"
    r"|access[_-]?key|encryption[_-]?key|signing[_-]?key|master[_-]?key|credential|credentials|pepper|salt|auth)"
    r"(?:$|[_\-.](?:key|value|base64|b64|hex|prod|production|staging|dev|live|test|\d+)$)",
    re.IGNORECASE,
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

_ASSIGNMENT = re.compile(r"""^\s*(?:export\s+)?["']?([A-Za-z_][\w.\-]{1,80})["']?\s*[=:]\s*(.*?)\s*,?\s*$""")
_QUOTED = re.compile(r"""^(?P<q>["'`])(?P<text>(?:(?!(?P=q)).){1,4000})(?P=q)""")
# A value that stands in for a missing one: the way secrets come into start scripts and process managers.
_FALLBACKS = (
    re.compile(r"""process\.env\.(?P<name>\w+)\s*(?:\|\||\?\?)\s*["'`](?P<text>[^"'`]+)["'`]"""),
    re.compile(r"""process\.env\[["'](?P<name>\w+)["']\]\s*(?:\|\||\?\?)\s*["'`](?P<text>[^"'`]+)["'`]"""),
    re.compile(r"""(?:environ\.get|getenv)\(\s*["'](?P<name>\w+)["']\s*,\s*["'](?P<text>[^"']+)["']"""),
    re.compile(r"""\$\{(?P<name>\w+):?[-=](?P<text>[^}$]+)\}"""),
)

_CONFIGURATION = {
    ".yaml", ".yml", ".json", ".toml", ".ini", ".cfg", ".conf", ".properties", ".env", ".tfvars",
}  # fmt: skip
_LOCKS = re.compile(
    r"(?:^|/)(?:[^/]*\.lock|package-lock\.json|pnpm-lock\.yaml|go\.sum|[^/]*\.min\.(?:js|css))$"
)
_EXAMPLES = re.compile(r"\.(?:example|sample|template|dist|tpl|j2)$")
_DIGEST = re.compile(r"sha\d{1,3}|digest|checksum|integrity|hash|fingerprint", re.IGNORECASE)
# What a unit of systemd says of credentials is where they lie.
_UNITS = {".service", ".socket", ".timer"}

_LONGEST_LINE = 20_000
_SHORTEST = 8
_TOKEN = re.compile(r"[A-Za-z0-9+/_\-=.]{24,200}")
_BITS = 4.0


def is_env_file(path: str) -> bool:
    """Whether a file's name says that it holds an environment; its example does not count."""
    name = PurePosixPath(path).name.lower()
    if _EXAMPLES.search(name):
        return False
    return name == ".env" or name.startswith(".env.") or name.endswith(".env") or name == ".envrc"


def judge(source: Source) -> Iterator[Leak]:
    """Find the secrets of one line; a value is told by the first rule that knows it."""
    if _LOCKS.search(source.path) or len(source.text) > _LONGEST_LINE:
        return
    told: set[str] = set()
    for rule, name, value in _candidates(source):
        if value not in told:
            told.add(value)
            yield Leak(source.path, source.number, source.commit, rule, name,
                       fingerprint(rule, source.path, value))  # fmt: skip


def _candidates(source: Source) -> Iterator[tuple[str, str, str]]:
    """Give rule, name and value, the surest first."""
    for rule, pattern in KNOWN.items():
        for match in pattern.finditer(source.text):
            yield rule, "", match.group()
    for match in ADDRESS.finditer(source.text):
        if not _is_stand_in(match.group(1)):
            yield "password-in-address", "", match.group(1)
    for pattern in _FALLBACKS:
        for match in pattern.finditer(source.text):
            name, text = match.group("name"), match.group("text").strip()
            if _is_secret_name(name) and _may_be_secret(text):
                yield "default-in-code", name, text
    yield from _assigned(source)


def _assigned(source: Source) -> Iterator[tuple[str, str, str]]:
    match = _ASSIGNMENT.match(source.text)
    if match is None or source.text.lstrip().startswith(("#", "//", ";", "*")):
        return
    name, written = match.groups()
    quoted = _QUOTED.match(written)
    suffix = PurePosixPath(source.path).suffix.lower()
    if suffix in _UNITS and not name.startswith("Environment"):
        return
    configuration = is_env_file(source.path) or suffix in _CONFIGURATION
    # Outside of configuration only literals count: anything else is code.
    if quoted is None and not configuration:
        return
    value = quoted.group("text") if quoted else re.split(r"\s+[#;]", written)[0].strip()
    if _is_secret_name(name) and _may_be_secret(value):
        yield ("env-file" if is_env_file(source.path) else "secret-by-name"), name, value
    elif is_env_file(source.path) and _is_random(value) and not _DIGEST.search(name):
        yield "random-value", name, value


def _is_secret_name(name: str) -> bool:
    return _SECRET_NAME.search(_CAMEL.sub("_", name)) is not None


def _may_be_secret(value: str) -> bool:
    if len(value) < _SHORTEST or _is_stand_in(value):
        return False
    return not re.search(
        r"^[^\W\d]+ [^\d]+$|\s\S+\s|^[./~]|^\w+\(|^[A-Z][A-Z_]+$|^[a-z_\-. ]+$|[\[\]{}<>()]|://", value
    )


# Sentences, paths, types and calls are no secrets.
_PLAIN = re.compile(r"^[^\W\d]+ [^\d]+$|\s\S+\s|^[./~]|^\w+\(|^[A-Z][A-Z_]+$|^[a-z_\-. ]+$|[\[\]{}<>()]|://")


def _is_stand_in(value: str) -> bool:
    bare = value.strip()
    return is_placeholder(bare) or bare.startswith(("$", "{", "<", "%", "@")) or len(set(bare)) < 4


def _is_random(value: str) -> bool:
    if not _TOKEN.fullmatch(value) or not re.search(r"[0-9]", value):
        return False
    counts = Counter(value).values()
    bits = -sum(count / len(value) * math.log2(count / len(value)) for count in counts)
    return bits >= _BITS and not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value.lower())
