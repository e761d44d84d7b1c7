"""`--reach` opens each service and says which failed and how, in bounded time, whatever it does."""

import datetime
import ipaddress
import ssl
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.config import servers
from tests.config.conftest import Judge
from tests.config.servers import Talk, serving
from tests.conftest import Databases

PASSWORD = "9c1d7e2b84065f3a"
# What a check may take beside the 3 seconds: the start of threads on a busy machine.
BESIDE = 2.0


def services(port: int) -> dict[str, str]:
    """Every service, all at one port."""
    return {
        "METACHAT_DATABASE_URL": f"postgresql://chat:{PASSWORD}@127.0.0.1:{port}/metachat?sslmode=disable",
        "METACHAT_REDIS_URL": f"redis://:{PASSWORD}@127.0.0.1:{port}/0",
        "METACHAT_RABBITMQ_URL": f"amqp://chat:{PASSWORD}@127.0.0.1:{port}/",
        "METACHAT_SMTP_HOST": "127.0.0.1",
        "METACHAT_SMTP_PORT": str(port),
    }


NAMES = {"METACHAT_DATABASE_URL", "METACHAT_REDIS_URL", "METACHAT_RABBITMQ_URL", "METACHAT_SMTP_HOST"}


def test_nobody_listens(judge: Judge) -> None:
    verdict = judge(services(servers.closed_port()), "--reach")
    assert verdict.names == NAMES
    assert all("127.0.0.1:" in problem["problem"] for problem in verdict.problems)
    assert all("refused" in problem["problem"].lower() for problem in verdict.problems)


@pytest.mark.parametrize("talk", [servers.silent, servers.dripping], ids=["silent", "dripping"])
def test_who_keeps_us_waiting_is_left_after_three_seconds_all_at_once(talk: Talk, judge: Judge) -> None:
    with serving(talk) as port:
        began = time.monotonic()
        verdict = judge(services(port), "--reach")
        took = time.monotonic() - began
    assert verdict.names == NAMES
    assert took < 3 + BESIDE
    if talk is servers.silent:
        assert all("did not answer within 3 s" in problem["problem"] for problem in verdict.problems)


def test_a_host_that_does_not_exist(judge: Judge) -> None:
    verdict = judge({"METACHAT_REDIS_URL": f"redis://:{PASSWORD}@cache.invalid:6379"}, "--reach")
    assert "cache.invalid:6379 cannot be used" in verdict.of("METACHAT_REDIS_URL")["problem"]


@pytest.mark.parametrize("talk", [servers.hangs_up, servers.http], ids=["hangs up", "another protocol"])
def test_who_does_not_speak_the_protocol_is_told(talk: Talk, judge: Judge) -> None:
    with serving(talk) as port:
        verdict = judge(services(port), "--reach")
    assert verdict.names == NAMES
    assert PASSWORD not in verdict.output


def test_a_server_that_repeats_our_secret_finds_it_taken_out(judge: Judge) -> None:
    def echo(caller: servers.socket.socket) -> None:
        caller.sendall(b"-ERR \x1b[31m you said " + caller.recv(4096).replace(b"\r\n", b" ") + b"\r\n")

    with serving(echo) as port:
        verdict = judge({"METACHAT_REDIS_URL": services(port)["METACHAT_REDIS_URL"]}, "--reach")
    assert "you said" in verdict.of("METACHAT_REDIS_URL")["problem"]
    assert PASSWORD not in verdict.output
    assert "\\u001b" not in verdict.output


def test_only_what_a_process_reads_is_reached(judge: Judge) -> None:
    verdict = judge(services(servers.closed_port()), "--reach", "--process", "worker")
    assert verdict.names == (NAMES - {"METACHAT_DATABASE_URL"}) | {
        "METACHAT_WORKER_DATABASE_URL", "METACHAT_ENCRYPTION_KEY",  # missing
    }  # fmt: skip


def test_what_is_wrong_and_what_is_away_come_in_one_run(judge: Judge) -> None:
    values = services(servers.closed_port()) | {"METACHAT_REDIS_URL": "redis://", "METACHAT_PORT": "none"}
    verdict = judge(values, "--reach")
    assert verdict.names == NAMES | {"METACHAT_PORT"}
    assert "no host" in verdict.of("METACHAT_REDIS_URL")["problem"]


async def test_postgres_lets_us_in_or_says_why_not(databases: Databases, judge: Judge) -> None:
    def check(url: str) -> list[str]:
        return [problem["problem"] for problem in judge({"METACHAT_DATABASE_URL": url}, "--reach").problems]

    assert check(databases.app) == []
    [refused] = check(databases.app.replace("metachat_app:", "metachat_app:no"))
    assert "password authentication failed" in refused
    [absent] = check(databases.app.replace(f"/{databases.name}?", "/nowhere?"))
    assert "does not exist" in absent


@pytest.mark.skipif(not servers.has_redis(), reason="no Redis or Valkey is installed (infra/test_tools.sh)")
def test_redis_lets_us_in_or_says_why_not(tmp_path: Path, judge: Judge) -> None:
    with servers.redis_server(tmp_path, PASSWORD) as port:
        there = f"127.0.0.1:{port}"
        assert judge({"METACHAT_REDIS_URL": f"redis://:{PASSWORD}@{there}/1"}, "--reach").problems == []
        assert judge({"METACHAT_REDIS_URL": f"redis://default:{PASSWORD}@{there}"}, "--reach").problems == []
        for url, said in {
            f"redis://:{PASSWORD}x@{there}/0": "WRONGPASS",
            f"redis://{there}/0": "NOAUTH",
            f"redis://:{PASSWORD}@{there}/99": "DB index",
            f"rediss://:{PASSWORD}@{there}/0": "did not answer",  # it waits for the rest
        }.items():
            verdict = judge({"METACHAT_REDIS_URL": url}, "--reach")
            assert said in verdict.of("METACHAT_REDIS_URL")["problem"]
            assert PASSWORD not in verdict.output


@pytest.mark.skipif(not servers.has_rabbitmq(), reason="no RabbitMQ is installed (rabbitmq-server)")
def test_rabbitmq_lets_us_in_or_says_why_not(tmp_path: Path, judge: Judge) -> None:
    with servers.rabbitmq_server(tmp_path, PASSWORD) as port:
        there = f"127.0.0.1:{port}"
        assert judge({"METACHAT_RABBITMQ_URL": f"amqp://chat:{PASSWORD}@{there}/"}, "--reach").problems == []
        assert (
            judge({"METACHAT_RABBITMQ_URL": f"amqp://chat:{PASSWORD}@{there}/%2F"}, "--reach").problems == []
        )
        for url, said in {
            f"amqp://chat:{PASSWORD}x@{there}/": "ACCESS_REFUSED",
            f"amqp://chat:{PASSWORD}@{there}/nowhere": "vhost nowhere not found",
            f"amqps://chat:{PASSWORD}@{there}/": "TLS",
        }.items():
            verdict = judge({"METACHAT_RABBITMQ_URL": url}, "--reach")
            assert said in verdict.of("METACHAT_RABBITMQ_URL")["problem"]
            assert PASSWORD not in verdict.output


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    """A certificate for 127.0.0.1 that only those trust who are told to."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail.test")])
    place = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([place]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, file = serialization.Encoding.PEM, tmp_path / "mail.pem"
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(private + made.public_bytes(pem))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    return context, file


def test_a_mail_server_lets_us_in_or_says_why_not(
    certificate: tuple[ssl.SSLContext, Path], judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, file = certificate
    account = {
        "METACHAT_SMTP_HOST": "127.0.0.1",
        "METACHAT_SMTP_USER": "chat",
        "METACHAT_SMTP_PASSWORD": PASSWORD,
    }
    with serving(servers.mail(PASSWORD, context)) as port:
        values = account | {"METACHAT_SMTP_PORT": str(port)}
        assert "certificate" in judge(values, "--reach").of("METACHAT_SMTP_HOST")["problem"]
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        assert judge(values, "--reach").problems == []
        refused = judge(values | {"METACHAT_SMTP_PASSWORD": f"{PASSWORD}x"}, "--reach")
        assert "refused the account (535)" in refused.of("METACHAT_SMTP_HOST")["problem"]
        assert PASSWORD not in refused.output
        implicit = judge(values | {"METACHAT_SMTP_TLS": "implicit"}, "--reach")
        assert "TLS" in implicit.of("METACHAT_SMTP_HOST")["problem"]
    with serving(servers.mail(PASSWORD, None)) as port:
        values = account | {"METACHAT_SMTP_PORT": str(port)}
        assert "STARTTLS" in judge(values, "--reach").of("METACHAT_SMTP_HOST")["problem"]
        assert judge(values | {"METACHAT_SMTP_TLS": "none"}, "--reach").problems == []
