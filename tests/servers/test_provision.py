"""A bare Debian server becomes a site that answers, with one command; a second one changes nothing."""

import errno
import re
import select
import socket
import time

from tests.servers.sites import DOMAIN, Live, Tell

# Of the scan from outside: so many at a time, each for so many seconds.
_AT_ONCE, _PATIENCE = 800, 0.4


def test_a_bare_server_answers_a_customer(live: Live, tell: Tell) -> None:
    began = time.monotonic()
    said = live.answer_to("How many days do I have to return a tent?")
    seconds = live.seconds + time.monotonic() - began
    tell(f"bare server to an answer over HTTPS: {seconds:.0f} s (limit 600 s)")
    assert "45 days" in said["text"]
    assert said["citations"]
    assert seconds <= 600


def test_a_second_run_changes_nothing(live: Live, tell: Tell) -> None:
    began = time.monotonic()
    ran = live.operator.provisions()
    seconds = time.monotonic() - began
    tell(f"second run: {ran.stdout.splitlines()[0]} {seconds:.0f} s (limit 60 s)")
    assert "0 changes" in ran.stdout, ran.stdout
    assert seconds <= 60


def test_the_plan_tells_what_a_hand_did_and_changes_nothing(live: Live) -> None:
    live.root("echo '# by hand' >> /etc/caddy/Caddyfile")
    for _ in range(2):  # what the first plan would have mended, the second would not find
        planned = live.operator.provisions("--plan")
        assert "Caddyfile" in planned.stdout
        assert "proxy takes its settings" in planned.stdout
    assert "by hand" in live.root("cat /etc/caddy/Caddyfile")
    assert "Caddyfile" in live.operator.provisions().stdout
    assert "by hand" not in live.root("cat /etc/caddy/Caddyfile")


def test_every_run_is_in_the_journal(live: Live) -> None:
    told = (live.operator.folder / "data/journal.jsonl").read_text()
    assert '"provision apply", "about": "alpha", "result": "ok"' in told
    assert '"provision secrets"' in told


def test_only_ssh_and_the_site_answer_from_outside(live: Live) -> None:
    listening = live.root("ss -Htln")
    assert "127.0.0.1:5432" in listening  # they run, and only the machine itself reaches them
    assert "127.0.0.1:8101" in listening
    assert _open_ports(live.guest.address) == {22, 80, 443}


def test_figures_and_the_operators_door_take_the_token(live: Live) -> None:
    assert live.request("GET", "/health/ready")[0] == 200
    wrong: tuple[dict[str, str], ...] = ({}, {"Authorization": "Bearer wrong"})
    for path in ("/metrics", "/metrics/api/1", "/metrics/x", "/api/v1/operator/tenants"):
        for headers in wrong:
            status, answer, _ = live.request("GET", path, None, headers)
            assert (status, answer["www-authenticate"].split()[0]) == (401, "Bearer"), path
    token = live.operator.secret("metrics_token")
    bearing = {"Authorization": f"Bearer {token}"}
    _each_api_process_shows_its_own(live, bearing)
    # Even with the token: the operator's door takes nobody from elsewhere, the question is the proxy's own,
    # and workers show themselves for a monitor only.
    ours = ("/auth/operator", "//auth/operator", "/auth%2foperator")
    for path in ("/metrics", "/metrics/api/99", "/metrics/worker/1", "/api/v1/operator/tenants", *ours):
        assert live.request("GET", path, None, bearing)[0] == 404, path
    assert live.request("GET", "/auth/operator")[0] == 404
    said = live.root("journalctl -o cat --since -5min -u caddy -u 'metachat-*'")
    assert "/metrics/api/1" in said
    assert token not in said


def _each_api_process_shows_its_own(live: Live, bearing: dict[str, str]) -> None:
    units = live.root("systemctl list-units --plain --no-legend 'metachat-api@*.service'").splitlines()
    assert len(units) >= 2

    def asked(number: int) -> float:
        status, headers, text = live.request("GET", f"/metrics/api/{number}", None, bearing)
        assert (status, headers["content-type"].split(";")[0]) == (200, "text/plain")
        assert re.search(rb"^process_resident_memory_bytes [1-9]", text, re.MULTILINE)
        counted = re.findall(
            rb'^metachat_http_requests_total\{[^}]*route="/health/live"[^}]*\} (\S+)', text, re.M
        )
        return sum(map(float, counted))

    # Nobody else asks for this, so that each process is known by how often it was.
    numbers = range(1, len(units) + 1)
    before = [asked(number) for number in numbers]
    for number in numbers:
        ask = f"curl -sf -o /dev/null http://127.0.0.1:81{number:02}/health/live"
        live.root(f"for i in $(seq {number}); do {ask}; done")
    assert [asked(number) - before[number - 1] for number in numbers] == list(numbers)


def test_pages_come_with_their_headers(live: Live) -> None:
    _, page, _ = live.request("GET", "/sign-in")
    policy = page["content-security-policy"]
    assert "unsafe" not in policy
    assert policy.count("default-src") == 1
    assert page["strict-transport-security"].startswith("max-age=63072000")
    assert {"permissions-policy", "cross-origin-opener-policy", "cross-origin-resource-policy"} <= page.keys()
    assert "server" not in page
    # What the application leaves unsaid, the proxy says: here for the door of providers.
    assert "content-security-policy" in live.request("GET", "/hooks/x")[1]


def test_files_of_pages_come_compressed_and_stay(live: Live) -> None:
    address = live.root("cd /opt/metachat/static && find -name app.css | head -1").strip().lstrip(".")
    for encoding in ("br", "gzip"):
        status, headers, _ = live.request("GET", f"/static{address}", None, {"Accept-Encoding": encoding})
        assert (status, headers["content-encoding"]) == (200, encoding)
        assert "immutable" in headers["cache-control"]
    status, headers, _ = live.request("GET", "/static/000000000000/app.css")
    assert (status, headers["cache-control"]) == (200, "no-cache")
    # Pages hold tokens beside words of strangers: compressed, they could be guessed.
    assert (
        "content-encoding" not in live.request("GET", "/sign-in", None, {"Accept-Encoding": "gzip, zstd"})[1]
    )


def test_bodies_are_limited(live: Live) -> None:
    assert live.request("POST", "/api/v1/session", b"x" * 900_000)[0] != 413
    assert live.request("POST", "/api/v1/session", b"x" * 1_100_000)[0] == 413


def test_the_log_keeps_no_token(live: Live) -> None:
    live.request("GET", "/sign-in?next=canary-in-query", None, {"Cookie": "session=canary-in-cookie"})
    log = live.root("journalctl -u caddy -o cat --since -5min")
    assert "/sign-in" in log
    assert "canary" not in log


def test_http_leads_to_https(live: Live) -> None:
    answer = live.root(
        f"curl -s -o /dev/null -w '%{{http_code}} %{{redirect_url}}' -H 'Host: {DOMAIN}' http://127.0.0.1/x"
    )
    assert answer == f"308 https://{DOMAIN}/x"


def _open_ports(address: str) -> set[int]:
    return set().union(
        *(_open_among(address, range(low, low + _AT_ONCE)) for low in range(1, 65536, _AT_ONCE))
    )


def _open_among(address: str, ports: range) -> set[int]:
    waiting = select.poll()
    doors = {port: socket.socket() for port in ports if port < 65536}
    try:
        for port, door in doors.items():
            door.setblocking(False)
            assert door.connect_ex((address, port)) in (0, errno.EINPROGRESS, errno.ECONNREFUSED)
            waiting.register(door, select.POLLOUT)
        time.sleep(_PATIENCE)
        known = {door.fileno(): port for port, door in doors.items()}
        answered = {known[number] for number, _ in waiting.poll(0)}
        return {p for p in answered if doors[p].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0}
    finally:
        for door in doors.values():
            door.close()
