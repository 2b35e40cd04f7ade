"""One spelling for an address; the table of hosts is in tests/security/test_turn_peer_addr.py."""

from __future__ import annotations

import pytest

from xp2p_trio.turn.addresses import canonical_address, canonical_host


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
