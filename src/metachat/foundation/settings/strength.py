"""Whether a secret is one: placeholders, defaults and values that can be guessed."""

import itertools
import math
import re
from collections import Counter

# The least that a key may measure; its letters are counted as UTF-8.
KEY_BYTES = 32

# Below these, 32 random hexadecimal digits are never; most things that people type are.
_DISTINCT = 8
_BITS_PER_LETTER = 2.75
_LONGEST_SEQUENCE = 0.6
_BEYOND_WORDS = 16
# A file may be given for a key; its beginning tells enough.
_LOOKED_AT = 1024

_WHOLE = frozenset({
    "admin", "changeit", "changeme", "default", "dummy", "example", "fixme", "foo", "foobar", "guest",
    "letmein", "metachat", "none", "null", "pass", "passw0rd", "passwd", "password", "pepper",
    "placeholder", "private", "qwerty", "replaceme", "root", "sample", "secret", "secretkey",
    "supersecret", "tbd", "test", "testing", "todo", "token", "undefined", "value",
})  # fmt: skip
_BEGINNINGS = re.compile(
    r"""(?: your[-_ ] | change[-_ ]?(?:me|it|this) | replace[-_ ]?(?:me|it|this|with) | insert[-_ ]
    | enter[-_ ] | put[-_ ] | set[-_ ]me | my[-_ ]secret | example | sample[-_ ] | placeholder | dummy[-_ ]
    | todo[-_: ] | fixme | xxx(?:x|[^a-z0-9]|$) | <.*> | \$\{ | \{\{ | %\{ | \.\.\. | \*\*\* )""",
    re.VERBOSE | re.IGNORECASE,
)
# Long enough never to turn up in a random value by chance.
_ANYWHERE = re.compile(
    r"change[-_ ]?me\b|changeme|change[-_ ]this|placeholder|replace[-_ ]?me|your[-_ ](?:secret|key|password)",
    re.IGNORECASE,
)

# What people make long keys of when they make them by hand.
_WORDS = re.compile(
    r"""access|admin|and|api|app|auth|bytes?|characters?|chat|company|cookie|database|debug|default|demo|dev
    |development|encrypt(?:ed|ion)?|for|hash|host|insecure|jwt|keep|keys?|lets|local(?:host)?|long|master|meta|my
    |not|only|our|passphrase|passw(?:or)?d|pepper|please|private|prod(?:uction)?|random|really|safe|salt|secrets?
    |secure|server|session|sign(?:ing)?|some|staging|string|strong|super|test(?:ing)?|that|the|this|token|use|user
    |value|very|webhook|with|your|[^a-z0-9]+|(?:19|20)\d\d|123+4*5*6*7*8*9*""",
    re.VERBOSE | re.IGNORECASE,
)

# What servers come with and what people set first; compared without regard to case.
DEFAULT_PASSWORDS = frozenset({
    "123456", "12345678", "123456789", "1234567890", "admin", "admin123", "bitnami", "changeit", "changeme",
    "default", "demo", "dev", "development", "foobared", "guest", "letmein", "local", "localhost", "metachat",
    "pass", "passw0rd", "password", "password1", "password123", "pg", "postgres", "postgresql", "qwerty",
    "rabbit", "rabbitmq", "redis", "root", "secret", "test", "toor", "user", "valkey",
})  # fmt: skip


def is_placeholder(text: str) -> bool:
    """Whether a text only stands for a secret that somebody forgot to put in."""
    bare = text.strip().lower()
    plain = re.sub(r"[-_ .!]", "", bare)
    return bool(plain in _WHOLE or _BEGINNINGS.match(bare) or _ANYWHERE.search(bare))


def is_guessable(text: str) -> bool:
    """Whether a key repeats itself, runs along the alphabet, uses few letters or is made of words."""
    text = text[:_LOOKED_AT]
    return (
        len(set(text)) < _DISTINCT
        or _bits_per_letter(text) < _BITS_PER_LETTER
        or _repeats(text)
        or len(_WORDS.sub("", text)) < _BEYOND_WORDS
        or _sequence(text) > _LONGEST_SEQUENCE
    )


def _bits_per_letter(text: str) -> float:
    counts = Counter(text).values()
    return -sum(count / len(text) * math.log2(count / len(text)) for count in counts)


def _repeats(text: str) -> bool:
    """Whether it is one shorter piece over and over, the last time perhaps in part."""
    return any(text[period:] == text[:-period] for period in range(1, len(text) // 2 + 1))


def _sequence(text: str) -> float:
    """The share of neighbours that are the same or follow one another, as in aaaa, abcd, 4321."""
    steps = [ord(right) - ord(left) for left, right in itertools.pairwise(text)]
    return sum(step in (-1, 0, 1) for step in steps) / max(1, len(steps))
