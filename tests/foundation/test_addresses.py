"""Which addresses may be called, in every spelling that some resolver or network stack understands."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metachat.foundation.addresses import NEVER_PUBLIC, Resolver, is_public
from metachat.foundation.outbound import Outbound, Unreachable


def answering(*addresses: str) -> Resolver:
    """Make a name server with one address a question; a question too many fails the test."""
    answers = list(addresses)

    async def resolve(host: str, port: int) -> list[str]:
        return [answers.pop(0)]

    return resolve


@pytest.mark.parametrize(
    "url",
    [
        "ftp://192.0.2.1/file",
        "file:///etc/passwd",
        "gopher://example.com/",
        "//example.com/",
        "example.com",
        "http://",
        "http://user@example.com/",
        "http://user:secret@example.com/",
        "http://8.8.8.8:22/",
        "http://8.8.8.8:5432/",
        "http://8.8.8.8:99999/",
        "http://8.8.8.8:0/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.0.0.1/",
        "http://0177.0.0.1/",
        "http://127.0.0.1./",
        "http://127.0.0.0x1/",
        "http://0/",
        "http://0x08080808/",
        "http://169.254.169.254/latest/meta-data/",
        "http://168.63.129.16/",
        "http://100.100.100.200/",
        "http://[::1]/",
        "http://[::]/",
        "http://[fe80::1]/",
        "http://[fe80::1%25eth0]/",
        "http://[fd00:ec2::254]/",
        "http://[ff02::1]/",
        "http://[::ffff:8.8.8.8]/",
        "http://[::ffff:0:8.8.8.8]/",
        "http://[::8.8.8.8]/",
        "http://[64:ff9b::8.8.8.8]/",
        "http://[64:ff9b:1::8.8.8.8]/",
        "http://[2002:808:808::1]/",
        "http://[2001:0:808:808::1]/",
        "http://[2001:db8::1]/",
        "http://１２７.0.0.1/",
        "http://127.0.0.1%2f@example.com/",
        "http://[::1",
    ],
)
async def test_what_is_no_plain_public_address_is_refused_for_good(url: str) -> None:
    with pytest.raises(Unreachable) as caught:
        await Outbound(resolve=answering()).check(url)
    assert caught.value.permanent


async def test_an_address_can_be_checked_before_it_is_stored() -> None:
    outbound = Outbound(resolve=answering("8.8.8.8", "10.0.0.1"))
    await outbound.check("https://shop.example/hook")
    with pytest.raises(Unreachable):
        await outbound.check("https://shop.example/hook")


private_v4 = st.sampled_from([n for n in NEVER_PUBLIC if isinstance(n, IPv4Network)]).flatmap(
    lambda network: st.integers(int(network[0]), int(network[-1])).map(IPv4Address)
)


def spellings(address: IPv4Address) -> list[str]:
    """Write an IPv4 address in every way that some resolver or stack understands."""
    a, b, c, d = address.packed
    number = int(address)
    embedded = [IPv6Address(int(ip_address(prefix)) + number) for prefix in ("::", "::ffff:0:0", "64:ff9b::")]
    six_to_four = IPv6Address((0x2002 << 112) | (number << 80) | 1)
    return [
        str(address), f"{number}", f"{number:#x}", f"0{number:o}", f"{a}.{number & 0xFFFFFF}",
        f"{a}.{b}.{c << 8 | d}", f"{a:#x}.{b:#x}.{c:#x}.{d:#x}", f"0{a:o}.0{b:o}.0{c:o}.0{d:o}",
        f"{address}.", *(f"[{form}]" for form in [*embedded, six_to_four]),
    ]  # fmt: skip


@given(private_v4)
async def test_no_spelling_of_a_private_address_gets_through(address: IPv4Address) -> None:
    outbound = Outbound()
    for host in spellings(address):
        with pytest.raises(Unreachable):
            await outbound.check(f"http://{host}/")


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_what_counts_as_public_is_public_by_every_other_measure(address: IPv4Address | IPv6Address) -> None:
    if not is_public(address):
        return
    assert address.is_global
    measures = ("private", "loopback", "link_local", "multicast", "reserved", "unspecified")
    assert [measure for measure in measures if getattr(address, f"is_{measure}")] == []
    if isinstance(address, IPv6Address):
        assert address in ip_network("2000::/3")
        assert address.sixtofour is None
        assert address.teredo is None


@given(st.ip_addresses(v=4).filter(lambda address: address.is_global and not address.is_multicast))
def test_ordinary_public_addresses_may_be_called(address: IPv4Address) -> None:
    assert is_public(address) or any(address in network for network in NEVER_PUBLIC)
