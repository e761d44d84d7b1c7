"""A canary in every secret place, the application through success and failure, and a look everywhere."""

import base64
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.fakes.model_server import ModelServer, Reply
from tests.redaction.canaries import Aviary, files_below
from tests.redaction.house import House, opened

from metachat import simulate
from metachat.foundation.settings import DECLARED
from metachat.simulate import Account, new_account

ANA = "385911234567"
# What customers write may be read in their conversations; what somebody typed into a form, or how they
# called a file, in the answer to them; and a page's own token in its forms.
PAYLOAD, OWN, IN_FORMS = "payload ", ("body email", "body file"), "csrf token"


@pytest.fixture
def aviary() -> Aviary:
    """The canaries of this test."""
    return Aviary()


@pytest.fixture
def house(tmp_path: Path, aviary: Aviary) -> Iterator[House]:
    """A platform of this test's own."""
    with opened(tmp_path, aviary) as running:
        yield running


class Story:
    """What is done to the platform; `answers` are those that refuse or fail."""

    def __init__(self, house: House) -> None:
        self.house, self.aviary = house, house.aviary
        self.client = httpx.Client(base_url=house.address, timeout=20)
        self.operator = {"Authorization": f"Bearer {house.secrets['cli_token']}", "X-Metachat-Tenant": "acme"}
        self.failures: dict[str, bytes] = {}
        self.pages: dict[str, bytes] = {}
        self.statuses: set[int] = set()

    def asks(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request; an answer that refuses is a sink, its headers too."""
        answer = self.client.request(method, path, **options)
        self.client.cookies.clear()
        self.statuses.add(answer.status_code)
        if answer.status_code >= 400:
            shown = f"{answer.status_code} {method} {path} #{len(self.failures)}"
            self.failures[shown] = str(answer.headers).encode() + answer.content
        return answer

    def does(self, method: str, path: str, **options: Any) -> Any:
        """Send a request as the operator, which must succeed."""
        answer = self.asks(method, path, headers=self.operator, **options)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def settles(self) -> None:
        """Make tenants, a member who signs in, a key, and a visitor."""
        for slug in ("acme", "stranger"):
            self.does("POST", "/api/v1/operator/tenants", json={"slug": slug, "name": slug})
        password = self.aviary.seed("password")
        who = {"email": "ana@acme.example", "password": password}
        self.does("POST", "/api/v1/members", json={**who, "role": "owner"})
        answer = self.asks("POST", "/api/v1/session", json=who)
        assert answer.status_code == 201, answer.text
        session = self.aviary.watch("session", answer.cookies["mc_session"])
        csrf = self.aviary.watch("csrf token", answer.json()["csrf_token"])
        self.ana = {"Cookie": f"mc_session={session}", "X-CSRF-Token": csrf}
        asked = {"name": "a key", "scopes": ["account:read"]}
        made = self.asks("POST", "/api/v1/api-keys", headers=self.ana, json=asked).json()
        self.key = self.aviary.watch("api key", made["secret"])
        shop = self.does("POST", "/api/v1/channels", json={"kind": "webchat", "name": "Web"})
        self.chat = f"/chat/{shop['channel']['id'] if 'channel' in shop else shop['id']}"
        answer = self.asks("POST", f"{self.chat}/sessions", json={})
        assert answer.status_code < 300, answer.text
        self.visitor = self.aviary.watch("visitor token", answer.json()["token"])

    def connects(self, account: Account) -> str:
        """Open the WhatsApp channel of an account; gives its door."""
        account.app_secret = self.aviary.seed("app secret")
        account.access_token = "EAA" + self.aviary.seed("access token")
        given = {"phone_number_id": account.phone_number_id, "business_account_id": account.waba_id,
                 "app_secret": account.app_secret, "access_token": account.access_token,
                 "quiet_seconds": 0}  # fmt: skip
        made = self.does(
            "POST", "/api/v1/channels", json={"kind": "whatsapp", "name": "W", "whatsapp": given}
        )
        account.verify_token = self.aviary.watch("verify token", made["verify_token"])
        self.whatsapp = made["channel"]["id"]
        return f"{self.house.address}/hooks/whatsapp/{self.whatsapp}"

    def hires(self, models: ModelServer) -> None:
        """Name a model that refuses, and tells with which key it was asked."""
        models.default = lambda asked: Reply(f"no such key: {asked.headers.get('authorization')}", status=401)
        form = {"tone": "formal", "provider": "openai", "model": "big", "base_url": models.openai_url,
                "api_key": self.aviary.seed("model key")}  # fmt: skip
        fallback = {"provider": "openai", "model": "small", "base_url": models.openai_url + "/",
                    "api_key": self.aviary.seed("fallback key")}  # fmt: skip
        answer = self.asks("POST", "/dashboard/assistant", headers=self.ana, data=form)
        assert answer.status_code == 303, answer.text
        self.does("PUT", "/api/v1/assistant/fallbacks", json={"fallbacks": [fallback]})

    def sprays(self) -> None:
        """Put a canary wherever a request may carry something, and be refused for it."""
        seed = self.aviary.seed
        headers = {
            name: seed(f"header {name}")
            for name in ("X-Api-Key", "X-CSRF-Token", "Idempotency-Key", "X-Hub-Signature-256", "Forwarded",
                         "If-None-Match", "Range", "User-Agent", "X-Anything", "Last-Event-ID")
        }  # fmt: skip
        headers["Cookie"] = "; ".join(
            f"{name}={seed(f'cookie {name}')}" for name in ("mc_session", "theme", "o")
        )
        headers["Referer"] = f"https://x.example/?token={seed('referer')}"
        bearer = {"Authorization": f"Bearer {seed('header Authorization')}"}
        basic = base64.b64encode(f"ana:{seed('header Basic')}".encode()).decode()
        query = {name: seed(f"query {name}") for name in ("token", "cursor", "limit", "after", "q", "next")}
        fields = {
            name: seed(f"body {name}")
            for name in ("email", "password", "text", "api_key", "role", "kind", "file")
        }
        paths = ["/api/v1/members", "/api/v1/session", "/api/v1/documents", "/api/v1/channels", "/api/v1/ask",
                 "/api/v1/nothing", "/dashboard", "/dashboard/channels", "/sign-in", "/metrics/x",
                 f"{self.chat}/messages", f"{self.chat}/sessions", f"/hooks/whatsapp/{self.whatsapp}",
                 f"/hooks/whatsapp/{'0' * 8}-0000-0000-0000-{'0' * 12}", "/api/v1/operator/tenants",
                 "/api/v1/assistant/fallbacks"]  # fmt: skip
        bodies: list[dict[str, Any]] = [
            {"json": fields}, {"data": fields}, {"files": {"file": (fields["file"], fields["text"])}},
            {"content": json.dumps(fields)[:-9]}, {"json": {"role": fields["role"], "kind": fields["kind"]}},
        ]  # fmt: skip
        strangers = (headers | bearer, headers | {"Authorization": f"Basic {basic}"}, headers)
        for who in (*strangers, self.ana, self.operator):
            for path in paths:
                self.asks("GET", path, params=query, headers={**who, "Accept": "text/html"})
                for body in bodies if who in (self.ana, self.operator) else bodies[:1]:
                    self.asks("POST", path, params=query, headers=who, **body)

    def breaks_rows(self) -> None:
        """Make handlers fail for real: values that do not open, columns that are gone, broken rules."""
        name = self.aviary.seed("body name")
        self.house.rows("ALTER TABLE tenants ADD CHECK (name NOT LIKE 'Cn4ry%')")
        assert self.asks("PATCH", "/api/v1/tenant", headers=self.ana, json={"name": name}).status_code >= 500
        for table, column, path in (
            ("assistants", "tone", "/dashboard/assistant"), ("channels", "name", "/api/v1/channels"),
        ):  # fmt: skip
            self.house.rows(f"ALTER TABLE {table} RENAME {column} TO gone")
            query = {"token": self.aviary.seed("query of a bug")}
            assert self.asks("GET", path, headers=self.ana, params=query).status_code == 500
            page = self.asks("GET", path, headers={**self.ana, "Accept": "text/html"}, params=query)
            assert page.status_code == 500
            self.house.rows(f"ALTER TABLE {table} RENAME gone TO {column}")
        self.house.rows("UPDATE assistants SET api_key_sealed = substr(api_key_sealed, 1, 20)")
        self.asks("GET", "/api/v1/assistant", headers=self.ana)

    def looks(self) -> None:
        """See all pages of the dashboard, and what monitoring sees."""
        for path in ("", "/channels", f"/channels/{self.whatsapp}", "/assistant", "/keys", "/members",
                     "/knowledge", "/account", "/updates", "/conversations"):  # fmt: skip
            self.pages[path] = self.asks("GET", f"/dashboard{path}", headers=self.ana).content
        tells = ("audit", "events", "channels", "assistant", "operator/dead-jobs", "operator/findings")
        for path in ("/metrics", "/health/ready", *(f"/api/v1/{name}" for name in tells)):
            self.pages[path] = self.asks("GET", path, headers=self.operator).content


def test_no_canary_is_seen_again(house: House, aviary: Aviary, tmp_path: Path) -> None:
    story, account = Story(house), new_account()
    assert set(house.secrets) == {name for name, declared in DECLARED.items() if declared.secret}
    story.settles()
    door = story.connects(account)
    with ModelServer() as models, simulate.thread(account=account) as meta:
        house.provider.behind = meta.address
        story.hires(models)
        meta.connect(door)
        meta.says(ANA, f"Where is my parcel {aviary.seed(PAYLOAD + 'text')}?")
        house.until(lambda: meta.arrivals(), "an answer arrives")
        assert any(asked.headers.get("authorization") for asked in models.requests)
        refuse_webhooks(story, door)
        house.provider.fails = (500, 1)
        meta.says(ANA, f"And now {aviary.seed(PAYLOAD + 'second')}?")
        house.until(lambda: house.provider.failed >= 1, "a message is refused")
        house.provider.fails = (400, 131_009)
        house.until(
            lambda: house.rows("SELECT 1 FROM messages WHERE status = 'failed'"), "a message has failed"
        )
        house.provider.fails = (401, 190)
        story.asks("POST", f"/api/v1/channels/{story.whatsapp}/diagnose", headers=story.ana)
        meta.says(ANA, f"Hello? {aviary.seed(PAYLOAD + 'third')}")
        house.until(lambda: house.rows("SELECT 1 FROM findings"), "the channel is in trouble")
        bury_a_job(house)
        story.looks()
        story.sprays()
        shown = house.shown_by_the_system()
        story.breaks_rows()
        lose_the_database(story)
        run_commands(house)
        story.looks()

    assert {200, 401, 403, 404, 422, 500, 503} <= story.statuses
    house.ends()
    written = files_below(house.logs) | files_below(house.data)
    told = {
        table: json.dumps(house.rows(f"SELECT * FROM {table}"), default=str).encode()
        for table in ("audit_log", "events", "dead_jobs", "findings", "deliveries")
    }
    failed = house.rows("SELECT detail FROM messages WHERE status = 'failed' OR detail ? 'waiting'")
    told["failures"] = json.dumps(failed, default=str).encode()
    told["reasons"] = json.dumps(house.rows("SELECT error FROM inbox"), default=str).encode()
    assert all(content not in (b"", b"[]") for name, content in told.items() if name != "deliveries")
    leaks = [leak for sinks in (written, told, shown) for leak in search(aviary, sinks)]
    leaks += search(aviary, story.failures, but=OWN)
    leaks += search(aviary, story.pages, but=(PAYLOAD, IN_FORMS))
    assert not leaks, "\n".join(leaks)

    # The search does find one: as it is written, and as a header of HTTP carries it.
    log = house.logs / "api.log"
    basic = base64.b64encode(f"metachat:{house.secrets['smtp_password']}".encode()).decode()
    with log.open("a") as file:
        file.write(f"a mistake: Basic {basic}\n{house.secrets['session_secret']!r}\n")
    found = search(aviary, files_below(house.logs))
    assert len(found) == 2
    assert "setting smtp_password" in found[1] + found[0]


def search(aviary: Aviary, sinks: dict[str, bytes], but: tuple[str, ...] = ()) -> list[str]:
    """Look for every canary in some sinks."""
    return [leak for sink, content in sinks.items() for leak in aviary.seen_in(sink, content, but)]


def refuse_webhooks(story: Story, door: str) -> None:
    """Knock with wrong tokens and signatures."""
    seed = story.aviary.seed
    wrong = {
        "hub.mode": "subscribe",
        "hub.verify_token": seed("query hub.verify_token"),
        "hub.challenge": "1",
    }
    assert story.asks("GET", door, params=wrong).status_code == 403
    body = json.dumps({"object": "whatsapp_business_account", "entry": [seed(PAYLOAD + "webhook")]})
    signed = {"X-Hub-Signature-256": f"sha256={seed('signature')}"}
    assert story.asks("POST", door, content=body, headers=signed).status_code in (401, 403)


def bury_a_job(house: House) -> None:
    """Let a job fail for ever that holds what it should not."""
    payload = json.dumps({"document": house.secrets["encryption_key"]})
    (tenant,) = house.rows("SELECT tenant_id FROM tenants WHERE slug = 'acme'")
    house.rows(
        "INSERT INTO jobs (lane, kind, tenant_id, payload, attempts) VALUES ('document:x', $1, $2, $3, 99)",
        "index", tenant["tenant_id"], payload,
    )  # fmt: skip
    house.until(lambda: house.rows("SELECT 1 FROM dead_jobs"), "the job is laid aside")
    house.rows("UPDATE dead_jobs SET payload = '{}'")


def lose_the_database(story: Story) -> None:
    """Stop Postgres while requests are served, look at what cannot start without it, and bring it back."""
    house, over = story.house, threading.Event()
    headers = {"Authorization": f"Bearer {story.key}", **story.ana}
    token = {"Authorization": f"Bearer {story.visitor}"}

    def insist() -> None:
        while not over.is_set():
            story.asks("GET", "/api/v1/members", headers=headers)
            story.asks("GET", f"{story.chat}/messages", headers=token, params={"token": story.visitor})

    with ThreadPoolExecutor(4) as pool:
        insisting = [pool.submit(insist) for _ in range(4)]
        house.cluster.stop()
        house.until(lambda: 503 in story.statuses, "requests are refused")
        without = [house.start(f"{name} without", name) for name in ("worker", "migrate")]
        assert [child.wait(60) != 0 for child in without] == [True, True]
        house.cluster.start()
        over.set()
        assert [one.result() for one in insisting] == [None] * 4
    house.until(
        lambda: story.asks("GET", "/health/ready").status_code == 200, "the api has its database again"
    )


def run_commands(house: House) -> None:
    """Run commands that fail, each in its way."""
    bad = {
        "METACHAT_DATABASE_URL": f"mysql://metachat:{house.aviary.seed('wrong address')}@localhost/x",
        "METACHAT_SESSION_SECRET": house.aviary.seed("short key")[:20],
        "METACHAT_SMTP_PASSWROD": house.aviary.seed("slip of the pen"),
        "METACHAT_SMTP_PORT": "no number",
        "METACHAT_API_KEY_PEPPER": f"{'0a' * 8}:{house.aviary.seed('broken ring')}",
        "METACHAT_PRODUCTION": "true",
    }
    wrong = {"METACHAT_OWNER_DATABASE_URL": house.secrets["owner_database_url"].replace(
        "metachat_owner:", f"metachat_owner:{house.aviary.seed('wrong password')}")}  # fmt: skip
    token = {"METACHAT_CLI_TOKEN": house.aviary.seed("wrong token")}
    runs: list[tuple[tuple[str, ...], dict[str, str], int | None]] = [
        (("api",), bad, 78), (("config", "check"), bad, 78), (("config", "check", "--json"), bad, 78),
        (("config", "show"), {}, 0), (("migrate",), wrong, None), (("tenants", "list"), token, None),
        (("secrets", "doctor"), {}, None), (("secrets", "list"), {}, None),
        (("secrets", "set", house.aviary.seed("name of a secret")), {}, None),
    ]  # fmt: skip
    with ThreadPoolExecutor(3) as pool:
        started = [pool.submit(house.runs, "commands", *argv, **more) for argv, more, _ in runs]
        ended = [one.result() for one in started]
    assert [(run[0], code) for run, code in zip(runs, ended, strict=True) if run[2] not in (None, code)] == []
    tell = (
        "from metachat.foundation import redaction, settings; redaction.die_discreetly();"
        " s = settings.load(process='api'); raise ValueError(s.{}.reveal())"
    )
    for name in ("session_secret", "database_url"):
        with (house.logs / "tracebacks.log").open("ab") as log:
            ran = subprocess.run(
                [sys.executable, "-c", tell.format(name)], env=house.environment, stderr=log, check=False
            )
        assert ran.returncode == 1
