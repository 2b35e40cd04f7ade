"""One spelling for an address, and its scope in any; the layers' refusals are in tests/security."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xp2p_trio.sansio import Scope, canonical_address, canonical_host, host_scopes, is_ipv6

NO_LITERALS = [
    "example.org",
    "192.0.2.1.",
    "0x7f.1",
    "",
    "2130706433",
    "127.1",
    "017700000001",
    "[::1]",
    "127.0.0.1:80",
]


@pytest.mark.parametrize(
    ("host", "canonical"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0::0:1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("example.org", None),
        ("192.0.2.1.", None),
        ("0x7f.1", None),
        ("", None),
    ],
)
def test_hosts(host: str, canonical: str | None) -> None:
    assert canonical_host(host) == canonical


@pytest.mark.parametrize(("port", "is_good"), [(0, False), (1, True), (65535, True), (65536, False), (-1, False)])
def test_ports(port: int, is_good: bool) -> None:
    assert canonical_address(("::ffff:192.0.2.1", port)) == (("192.0.2.1", port) if is_good else None)


@given(ip=st.ip_addresses())
def test_the_canonical_host_is_its_own(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    canonical = canonical_host(ip.exploded.upper())
    assert canonical is not None
    assert canonical_host(canonical) == canonical
    assert is_ipv6(canonical) == (ip.version == 6 and (int(ip) >> 32) != 0xFFFF)


@pytest.mark.parametrize("host", NO_LITERALS)
def test_what_is_no_literal_has_no_form_and_no_scope(host: str) -> None:
    assert canonical_host(host) is None
    assert canonical_address((host, 80)) is None
    assert host_scopes(host) == []


@pytest.mark.parametrize(
    ("host", "scopes"),
    [
        ("192.0.2.1", [Scope.UNICAST]),
        ("10.0.0.1", [Scope.UNICAST]),
        ("2001:db8::1", [Scope.UNICAST]),
        ("fc00::1", [Scope.UNICAST]),
        ("0.0.0.0", [Scope.UNSPECIFIED]),
        ("0.255.255.255", [Scope.UNSPECIFIED]),
        ("1.0.0.0", [Scope.UNICAST]),
        ("::", [Scope.UNSPECIFIED]),
        ("127.0.0.0", [Scope.LOOPBACK]),
        ("127.255.255.255", [Scope.LOOPBACK]),
        ("128.0.0.0", [Scope.UNICAST]),
        ("::1", [Scope.LOOPBACK]),
        ("169.254.0.0", [Scope.LINK_LOCAL]),
        ("169.255.0.0", [Scope.UNICAST]),
        ("fe80::1%eth0", [Scope.LINK_LOCAL]),
        ("febf:ffff::1", [Scope.LINK_LOCAL]),
        ("fec0::1", [Scope.SITE_LOCAL]),
        ("feff:ffff::1", [Scope.SITE_LOCAL]),
        ("223.255.255.255", [Scope.UNICAST]),
        ("224.0.0.1", [Scope.MULTICAST]),
        ("ff02::1", [Scope.MULTICAST]),
        ("240.0.0.1", [Scope.RESERVED]),
        ("255.255.255.255", [Scope.RESERVED]),
    ],
)
def test_scopes(host: str, scopes: list[Scope]) -> None:
    assert host_scopes(host) == scopes


@pytest.mark.parametrize(
    ("host", "scopes"),
    [
        ("::ffff:127.0.0.1", [Scope.LOOPBACK]),  # mapped: it is that IPv4 address
        ("::127.0.0.1", [Scope.UNICAST, Scope.LOOPBACK]),
        ("::2", [Scope.UNICAST, Scope.UNSPECIFIED]),
        ("64:ff9b::7f00:1", [Scope.UNICAST, Scope.LOOPBACK]),
        ("64:ff9b::", [Scope.UNICAST, Scope.UNSPECIFIED]),
        ("64:ff9b::c000:201", [Scope.UNICAST, Scope.UNICAST]),
        ("64:ff9b:0:0:0:1:7f00:1", [Scope.UNICAST]),  # outside the prefix
    ],
)
def test_an_embedded_ipv4_address_has_its_own_scope(host: str, scopes: list[Scope]) -> None:
    assert host_scopes(host) == scopes


@given(ipv4=st.ip_addresses(v=4), prefix=st.sampled_from(["::ffff:", "64:ff9b::"]))
def test_no_spelling_hides_the_scope_of_an_ipv4_address(ipv4: ipaddress.IPv4Address, prefix: str) -> None:
    assert host_scopes(f"{prefix}{ipv4}")[-1:] == host_scopes(str(ipv4))
