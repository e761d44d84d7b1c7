"""It is for this machine alone, and no token but its own ever leads to it."""

import json
from pathlib import Path

import httpx
import pytest

from metachat import simulate
from metachat.foundation import simulated
from metachat.simulate import Meta
from metachat.simulate.serve import NotLoopback, PortTaken, listen


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", ""])
def test_it_listens_to_this_machine_only(host: str) -> None:
    with pytest.raises(NotLoopback, match="--expose-to-the-network"):
        listen(host, 0)


def test_it_listens_to_all_when_that_is_said_aloud() -> None:
    listening = listen("0.0.0.0", 0, exposed=True)
    with listening, pytest.raises(PortTaken):
        listen("127.0.0.1", listening.getsockname()[1])


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "127.0.0.1.evil.example"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
    ],
)
def test_other_peoples_pages_cannot_play_with_the_phones(meta: Meta, headers: dict[str, str]) -> None:
    path = f"{meta.address}/_simulator/phones/385911234567/messages"
    assert httpx.post(path, content=b'{"text": "Hello"}', headers=headers).status_code == 403
    assert httpx.get(f"{meta.address}/", headers=headers).status_code == 403
    assert not meta.sent()
    own = {"origin": meta.address}
    assert httpx.post(path, content=b'{"text": "Hello"}', headers=own).status_code == 201


@pytest.mark.parametrize("path", ["/static/../app.py", "/static/%2e%2e/app.py", "/app.py", "/static/"])
def test_only_the_page_is_given_away(meta: Meta, path: str) -> None:
    assert httpx.get(f"{meta.address}{path}").status_code == 404


def test_secrets_are_not_shown_beside_the_state(meta: Meta) -> None:
    shown = json.dumps(meta.state())
    account = meta.account
    assert account.phone_number_id in shown
    for secret in (account.app_secret, account.access_token, account.verify_token):
        assert secret not in shown
        assert secret not in repr(account)


def _place(folder: Path, address: str, token: str) -> None:
    place = {"address": address, "token_sha256": simulated.fingerprint(token)}
    (folder / simulated.PLACE_FILE).write_text(json.dumps(place))


def test_only_the_simulators_own_token_leads_to_it(tmp_path: Path) -> None:
    _place(tmp_path, "http://127.0.0.1:8090", "EAA-simulated")
    detour = simulated.detour(tmp_path)
    assert detour("EAA-simulated") == "http://127.0.0.1:8090"
    assert detour("EAA-a tenant's real one") is None


@pytest.mark.parametrize(
    "address",
    [
        "http://192.0.2.1:8090",
        "http://evil.example",
        "https://127.0.0.1",
        "http://localhost:8090",
        "file:///",
        "",
    ],
)
def test_a_place_that_is_not_on_this_machine_is_not_believed(tmp_path: Path, address: str) -> None:
    _place(tmp_path, address, "EAA-simulated")
    assert simulated.detour(tmp_path)("EAA-simulated") is None


def test_a_process_of_its_own_ends_with_us() -> None:
    with simulate.process() as meta:
        meta.says("385911234567", "Hello")
        assert [item.text for item in meta.sent()] == ["Hello"]
    with pytest.raises(ConnectionError):
        meta.state()
