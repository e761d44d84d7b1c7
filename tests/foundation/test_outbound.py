"""Calling addresses that tenants supplied: what gets through, what is refused, and what is cut off.

The servers are real ones on loopback; the policy of a test permits the loopback network, as an operator would
for a model on the same machine. Names are resolved by the test, as an attacker's name server would.
"""

import asyncio
import gzip
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from openai import APIConnectionError, AsyncOpenAI

from metachat.foundation import clock
from metachat.foundation.errors import problem
from metachat.foundation.outbound import Limits, Outbound, Unreachable

LOOPBACK = ["127.0.0.0/8"]
SMALL = Limits(bytes=100_000, seconds=10)
Handler = Callable[["Exchange"], Awaitable[None]]


@dataclass
class Exchange:
    """One request as a server saw it, and the way to answer."""

    head: str
    writer: asyncio.StreamWriter

    async def answer(self, status: str, body: bytes = b"", **headers: str) -> None:
        """Send a whole answer."""
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await self.writer.drain()

    async def begin(self) -> None:
        """Send the head of an endless answer."""
        self.writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        await self.writer.drain()


@dataclass
class Site:
    """A running server."""

    port: int
    seen: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its address by number."""
        return f"http://127.0.0.1:{self.port}/"


@asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncGenerator[Site]:
    """Run a server that remembers the heads of its requests."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            site.seen.append(head)
            await handler(Exchange(head, writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0, ssl=tls)
    site = Site(server.sockets[0].getsockname()[1])
    async with server:
        yield site


async def hello(exchange: Exchange) -> None:
    """Answer with a greeting."""
    await exchange.answer("200 OK", b"hello")


def redirecting(location: str, status: str = "302 Found") -> Handler:
    """Answer with a redirect."""

    async def handler(exchange: Exchange) -> None:
        await exchange.answer(status, Location=location)

    return handler


class Names:
    """A name server that gives prepared answers, one a question, the last one for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        """Answer the next question."""
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


async def refused(url: str, outbound: Outbound | None = None) -> Unreachable:
    """Call an address that must be refused, and return the refusal."""
    caller = outbound or Outbound()
    with pytest.raises(Unreachable) as caught:
        await caller.get(url)
    await caller.close()
    return caught.value


async def test_a_permitted_address_is_fetched() -> None:
    async with serving(hello) as site:
        outbound = Outbound(allowed_networks=LOOPBACK)
        fetched = await outbound.get(site.url)
        await outbound.close()
    assert (fetched.status, fetched.content, fetched.url) == (200, b"hello", site.url)
    assert "Accept-Encoding: identity" in site.seen[0]


async def test_loopback_is_refused_unless_the_operator_permits_it() -> None:
    async with serving(hello) as site:
        refusal = await refused(site.url)
    assert refusal.permanent
    assert site.seen == []
    assert problem(refusal)["permanent"] is True


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST"])
async def test_a_name_of_this_machine_is_refused(name: str) -> None:
    async with serving(hello) as site:
        assert (await refused(f"http://{name}:{site.port}/")).permanent
    assert site.seen == []


async def test_one_private_address_among_several_refuses_the_name() -> None:
    async with serving(hello) as site:
        outbound = Outbound(allowed_networks=LOOPBACK, resolve=Names(["127.0.0.1", "10.0.0.5"]))
        assert (await refused(f"http://shop.example:{site.port}/", outbound)).permanent
    assert site.seen == []


async def test_a_disguised_form_does_not_reach_a_permitted_network() -> None:
    async with serving(hello) as site:
        outbound = Outbound(allowed_networks=[*LOOPBACK, "::/0"])
        assert (await refused(f"http://[::ffff:127.0.0.1]:{site.port}/", outbound)).permanent
    assert site.seen == []


async def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    async with serving(hello) as site:
        outbound = Outbound(allowed_networks=LOOPBACK, resolve=names)
        assert (await outbound.get(f"http://shop.example:{site.port}/")).content == b"hello"
        assert names.asked == ["shop.example"]
        refusal = await refused(f"http://shop.example:{site.port}/", outbound)
    assert refusal.permanent
    assert f"Host: shop.example:{site.port}" in site.seen[0]
    assert len(site.seen) == 1


async def test_a_name_that_turns_private_between_redirects_is_refused() -> None:
    async with serving(redirecting("/next")) as site:
        names = Names(["127.0.0.1"], ["169.254.169.254"])
        refusal = await refused(
            f"http://shop.example:{site.port}/", Outbound(allowed_networks=LOOPBACK, resolve=names)
        )
    assert refusal.permanent
    assert names.asked == ["shop.example", "shop.example"]


async def test_redirects_are_followed_and_each_one_checked() -> None:
    async with serving(hello) as end, serving(redirecting(end.url)) as start:
        outbound = Outbound(allowed_networks=LOOPBACK)
        fetched = await outbound.get(start.url)
        await outbound.close()
    assert (fetched.content, fetched.url) == (b"hello", end.url)


@pytest.mark.parametrize(
    "location",
    ["http://10.0.0.1/", "http://[::1]/", "file:///etc/passwd", "http://a:b@127.0.0.1/", "//0x7f.1/"],
)
async def test_a_redirect_to_a_forbidden_address_is_refused(location: str) -> None:
    async with serving(redirecting(location)) as site:
        assert (await refused(site.url, Outbound(allowed_networks=LOOPBACK))).permanent


async def test_redirecting_for_ever_is_refused() -> None:
    async with serving(redirecting("/again")) as site:
        assert (await refused(site.url, Outbound(allowed_networks=LOOPBACK))).permanent
    assert len(site.seen) == Limits().redirects + 1


async def test_credentials_stay_with_their_host() -> None:
    secrets = {
        "Authorization": "Bearer s3cret",
        "X-Api-Key": "s3cret",
        "Cookie": "a=s3cret",
        "Accept": "text/*",
    }
    async with serving(hello) as end, serving(redirecting(end.url)) as start:
        outbound = Outbound(allowed_networks=LOOPBACK)
        await outbound.request("GET", start.url, headers={**secrets, "Accept": "text/*"})
        await outbound.close()
    assert start.seen[0].count("s3cret") == 3
    assert "s3cret" not in end.seen[0]
    assert "text/*" in end.seen[0]


async def test_content_is_not_sent_on_to_another_host() -> None:
    async with serving(hello) as end, serving(redirecting(end.url, "307 Temporary Redirect")) as start:
        outbound = Outbound(allowed_networks=LOOPBACK)
        with pytest.raises(Unreachable) as caught:
            await outbound.request("POST", start.url, content=b"order")
        await outbound.close()
    assert caught.value.permanent
    assert end.seen == []


async def test_a_post_that_is_redirected_becomes_a_get() -> None:
    async with serving(hello) as end, serving(redirecting(end.url, "303 See Other")) as start:
        outbound = Outbound(allowed_networks=LOOPBACK)
        await outbound.request("POST", start.url, content=b"order", headers={"Content-Type": "text/plain"})
        await outbound.close()
    assert end.seen[0].startswith("GET / ")
    assert "text/plain" not in end.seen[0]


async def test_a_body_that_never_ends_in_time_is_cut_off() -> None:
    async def dribbling(exchange: Exchange) -> None:
        await exchange.begin()
        while True:
            exchange.writer.write(b".")
            await exchange.writer.drain()
            await asyncio.sleep(0.01)

    async with serving(dribbling) as site:
        outbound = Outbound(allowed_networks=LOOPBACK, limits=Limits(seconds=0.3))
        assert not (await refused(site.url, outbound)).permanent


async def test_a_server_that_says_nothing_is_given_up() -> None:
    async def silent(exchange: Exchange) -> None:
        await asyncio.Event().wait()

    async with serving(silent) as site:
        outbound = Outbound(allowed_networks=LOOPBACK, limits=Limits(seconds=0.2))
        assert not (await refused(site.url, outbound)).permanent


async def test_a_name_server_that_says_nothing_is_given_up() -> None:
    async def silent(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    outbound = Outbound(limits=Limits(seconds=0.2), resolve=silent)
    assert not (await refused("http://shop.example/", outbound)).permanent


async def test_an_endless_body_is_cut_off() -> None:
    async def flooding(exchange: Exchange) -> None:
        await exchange.begin()
        while True:
            exchange.writer.write(bytes(50_000))
            await exchange.writer.drain()

    async with serving(flooding) as site:
        assert (await refused(site.url, Outbound(allowed_networks=LOOPBACK, limits=SMALL))).permanent


async def test_a_gzip_bomb_is_cut_off() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    assert len(bomb) < SMALL.bytes

    async def bombing(exchange: Exchange) -> None:
        await exchange.answer("200 OK", bomb, Content_Encoding="gzip")

    async with serving(bombing) as site:
        assert (await refused(site.url, Outbound(allowed_networks=LOOPBACK, limits=SMALL))).permanent


PACKED = [gzip.compress(part, mtime=0) for part in (b"hello", b"hel", b"lo")]


@pytest.mark.parametrize("body", [PACKED[0], PACKED[1] + PACKED[2]])
async def test_compression_that_was_not_asked_for_is_undone(body: bytes) -> None:
    async def compressing(exchange: Exchange) -> None:
        await exchange.answer("200 OK", body, Content_Encoding="gzip")

    async with serving(compressing) as site:
        outbound = Outbound(allowed_networks=LOOPBACK)
        assert (await outbound.get(site.url)).content == b"hello"
        await outbound.close()


@pytest.mark.parametrize("encoding", ["gzip", "br"])
async def test_compression_that_cannot_be_undone_is_a_refusal(encoding: str) -> None:
    async def lying(exchange: Exchange) -> None:
        await exchange.answer("200 OK", b"not compressed", Content_Encoding=encoding)

    async with serving(lying) as site:
        await refused(site.url, Outbound(allowed_networks=LOOPBACK))


async def test_nobody_listening_is_worth_another_try() -> None:
    async with serving(hello) as site:
        pass
    assert not (await refused(site.url, Outbound(allowed_networks=LOOPBACK))).permanent


async def test_an_unknown_name_is_worth_another_try() -> None:
    async def unknown(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    assert not (await refused("http://shop.example/", Outbound(resolve=unknown))).permanent


async def test_tls_proves_the_name_and_not_the_number(tmp_path: Path) -> None:
    server, client = certificate("shop.example", tmp_path)
    names: list[str | None] = []
    server.sni_callback = lambda _socket, name, _context: names.append(name)
    async with serving(hello, server) as site:
        outbound = Outbound(allowed_networks=LOOPBACK, resolve=Names(["127.0.0.1"]), trust=client)
        assert (await outbound.get(f"https://shop.example:{site.port}/")).content == b"hello"
        refusal = await refused(f"https://bank.example:{site.port}/", outbound)
    assert names == ["shop.example", "bank.example"]
    assert not refusal.permanent


async def test_a_client_of_other_making_passes_the_same_guard() -> None:
    async with serving(hello) as site, serving(redirecting(site.url)) as elsewhere:
        transport = Outbound(allowed_networks=LOOPBACK).transport()
        async with httpx2.AsyncClient(transport=transport, follow_redirects=True) as client:
            assert (await client.get(site.url)).text == "hello"
            with pytest.raises(Unreachable):
                await client.get(elsewhere.url, headers={"X-Api-Key": "s3cret"})
            with pytest.raises(Unreachable):
                await client.get("http://10.0.0.1/")
    assert "s3cret" not in "".join(site.seen)


@pytest.mark.parametrize("base_url", ["http://169.254.169.254/v1", "http://localhost/v1"])
async def test_a_models_sdk_passes_the_same_guard(base_url: str) -> None:
    async with httpx2.AsyncClient(transport=Outbound().transport()) as http:
        client = AsyncOpenAI(base_url=base_url, api_key="s3cret", http_client=http, max_retries=0)
        with pytest.raises(Unreachable) as caught:
            await client.models.list()
    assert caught.value.permanent


async def test_a_models_sdk_may_retry_what_the_network_did() -> None:
    async with serving(hello) as site:
        pass
    transport = Outbound(allowed_networks=LOOPBACK).transport()
    async with httpx2.AsyncClient(transport=transport) as http:
        client = AsyncOpenAI(base_url=site.url, api_key="s3cret", http_client=http, max_retries=0)
        with pytest.raises(APIConnectionError) as caught:
            await client.models.list()
    assert isinstance(caught.value.__cause__, Unreachable)


def certificate(name: str, folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Make a certificate for a name: the server's side, and a client that trusts only it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = clock.now()
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    path = folder / "server.pem"
    path.write_bytes(
        pem
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    client = ssl.create_default_context(cadata=pem.decode())
    return server, client
