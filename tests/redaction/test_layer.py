"""What the redaction hides, what it leaves alone, and that it never stands in the way."""

import base64
import json
import logging
import re
import secrets
import subprocess
import sys
import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metachat.foundation import redaction
from metachat.foundation.log import _Handler
from metachat.foundation.redaction import HIDDEN, clean, fields, hide, remember, remember_of_tenant
from metachat.foundation.settings import Secret

ODD = "Zürich/\"'+&<tag>\\ n0 %2F=" + secrets.token_hex(4)


@pytest.mark.parametrize(
    "written",
    [
        ODD, repr(ODD), json.dumps(ODD), json.dumps(ODD, ensure_ascii=False), json.dumps(json.dumps([ODD])),
        quote(ODD), quote(ODD, safe=""), re.sub("%..", lambda found: found[0].lower(), quote(ODD, safe="")),
        ODD.encode().hex(), ODD.encode().hex().upper(),
    ],
    ids=["plain", "repr", "json", "json_utf8", "json_twice", "url", "url_safe", "url_lower", "hex", "HEX"],
)  # fmt: skip
def test_a_known_value_is_hidden_however_it_is_written(written: str) -> None:
    remember(ODD)
    told = hide(f"before {written} after")
    assert HIDDEN in told
    assert told.startswith("before ")
    assert told.endswith(" after")
    assert ODD[-6:] not in told


@pytest.mark.parametrize("before", ["", "u", "us", "user:", "user:p"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_known_value_is_hidden_inside_of_base64(before: str, encode: object) -> None:
    remember(ODD)
    assert callable(encode)
    written = encode((before + ODD + "after it").encode()).decode()
    told = hide(written)
    assert HIDDEN in told
    assert len(told) < len(written) / 2 + len(HIDDEN)


def test_whatever_becomes_a_secret_is_hidden_with_its_parts() -> None:
    password, key, other = (secrets.token_urlsafe(12) for _ in range(3))
    Secret(f"postgresql://metachat_app:{password}@db.example/metachat")
    Secret(f"{'0a' * 8}:{key} {'0b' * 8}:{other}")
    assert clean(f"{password}, {key} and {other}") == f"{HIDDEN}, {HIDDEN} and {HIDDEN}"
    remember("https://")
    assert hide("see https://metachat.example") == "see https://metachat.example"
    remember(f"{password}:")
    assert hide(f"see {password}:") == f"see {HIDDEN}"
    remember_of_tenant(b"conversation")
    assert hide("the conversation goes on") == "the conversation goes on"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Authorization: Bearer abc123.x", f"Authorization: Bearer {HIDDEN}"),
        ("GET /hook?hub.verify_token=abc&n=1", f"GET /hook?hub.verify_token={HIDDEN}&n=1"),
        ("redis://:pw@host/0 failed", f"redis://:{HIDDEN}@host/0 failed"),
        ("{'password': 'x y', 'n': 1}", f"{{'password': '{HIDDEN}', 'n': 1}}"),
        ('{\\"access_token\\": \\"abc\\"}', f'{{\\"access_token\\": \\"{HIDDEN}\\"}}'),
        ("Cookie: mc_session=a; theme=b", f"Cookie: {HIDDEN}"),
        ("DETAIL:  Key (email)=(ana@x.hr) already exists.", f"DETAIL:  {HIDDEN}"),
        ("invalid input for query argument $2: 'my words' (too long)",
         f"invalid input for query argument $2: {HIDDEN} (too long)"),
        ("key mc_12345 was used", f"key mc_{HIDDEN} was used"),
        ("METACHAT_SESSION_SECRET: is too short", "METACHAT_SESSION_SECRET: is too short"),
        ("the basic idea is a bearer of news", "the basic idea is a bearer of news"),
        ("vault:https://v:8200/kv?token_file=/run/t", "vault:https://v:8200/kv?token_file=/run/t"),
    ],
)  # fmt: skip
def test_what_stands_beside_a_telling_name_is_hidden(said: str, told: str) -> None:
    assert clean(said) == told


def test_fields_are_hidden_by_their_names() -> None:
    event = {"event": "x", "api_key": "abc", "headers": {"Set-Cookie": "a", "accept": "b"}, "input_tokens": 7,
             "key_id": "17", "secret_file": "/run/x", "csrfToken": "y"}  # fmt: skip
    assert fields(event) == {
        "event": "x", "api_key": HIDDEN, "headers": {"Set-Cookie": HIDDEN, "accept": "b"}, "input_tokens": 7,
        "key_id": "17", "secret_file": "/run/x", "csrfToken": HIDDEN,
    }  # fmt: skip


class Broken:
    """Cannot be told."""

    def __repr__(self) -> str:
        raise RuntimeError("no words")


ONE = st.one_of(st.text(), st.binary(), st.floats(), st.builds(Broken), st.none())


@given(st.recursive(ONE, lambda some: st.lists(some) | st.dictionaries(st.text() | st.integers(), some)))
def test_whatever_is_logged_can_be_written(value: object) -> None:
    json.dumps(fields({"value": value}))


def test_a_structure_that_holds_itself_ends() -> None:
    endless: dict[str, object] = {}
    endless["itself"] = endless
    assert len(json.dumps(fields(endless))) < 1_000


def test_what_a_request_carries_is_hidden_in_its_context_only() -> None:
    cookie, token = secrets.token_hex(16), secrets.token_hex(16)
    headers = [
        (b"cookie", f"mc_session={cookie}; theme=dark".encode()),
        (b"accept", b"text/html,application/json"),
    ]
    redaction.carry(headers, f"q={token}&page=2".encode())
    try:
        assert hide(f"{cookie} {token} text/html,application/json") == (
            f"{HIDDEN} {HIDDEN} text/html,application/json"
        )
    finally:
        redaction.carry([], b"")
    assert cookie in hide(cookie)


def test_logging_with_arguments_that_do_not_fit_shows_no_arguments(
    capsys: pytest.CaptureFixture[str],
) -> None:
    handler, secret = _Handler(), secrets.token_hex(16)
    handler.setStream(sys.stderr)
    remember(secret)
    for record in (("%d", (secret,)), ("%s", (secret,)), ("a %s %s", (secret,))):
        handler.handle(logging.LogRecord("x", logging.ERROR, "", 1, *record, None))
    assert secret not in capsys.readouterr().err


_DIES = """
import asyncio, logging, threading, warnings
from metachat.foundation import log
from metachat.foundation.settings import Secret
value = Secret({value!r}).reveal()
log.configure("test", {form!r})
def fail(text):
    local = text
    try:
        raise KeyError(text)
    except KeyError as error:
        raise RuntimeError(f"while {{local}}") from error
thread = threading.Thread(target=fail, args=(value,)); thread.start(); thread.join()
warnings.warn("beware of " + value)
logging.getLogger("uvicorn.error").error("it was %s", value)
try:
    fail(value)
except RuntimeError:
    log.log.exception("failed", value=value, password="hunter2", thing=Secret(value))
async def lost():
    asyncio.get_running_loop().create_task(asyncio.sleep(0, fail)).add_done_callback(lambda task: fail(value))
    await asyncio.sleep(0.01)
asyncio.run(lost())
class Late:
    def __del__(self):
        fail(value)
del (Late.it if hasattr(Late, "it") else [Late()])[0]
fail(value)
"""


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_process_that_dies_tells_how_but_no_value(form: str) -> None:
    value = secrets.token_urlsafe(32)
    ran = subprocess.run(
        [sys.executable, "-c", _DIES.format(value=value, form=form)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert ran.stderr.count("RuntimeError") >= 5, ran.stderr
    assert ran.stderr.count(HIDDEN) >= 10
    assert value[:12] not in ran.stderr
    assert "hunter2" not in ran.stderr


def test_it_costs_a_request_nothing_and_a_line_little() -> None:
    headers = [(b"cookie", b"mc_session=" + b"a" * 40), (b"authorization", b"Bearer " + b"b" * 40)]
    began = time.process_time()
    for _ in range(20_000):
        redaction.carry(headers, b"")
    carrying = (time.process_time() - began) / 20_000
    redaction.carry([], b"")
    for _ in range(2_048):
        remember_of_tenant(secrets.token_urlsafe(60).encode())
    line = "request failed path=/api/v1/conversations/0198f0c0-aaaa-7bbb-8ccc-0123456789ab status=500 " * 2
    hide(line)
    began = time.process_time()
    for _ in range(500):
        clean(line)
    cleaning = (time.process_time() - began) / 500
    assert carrying < 20e-6
    assert cleaning < 2e-3
