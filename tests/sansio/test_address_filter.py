"""Filters of hosts."""

from __future__ import annotations

import pytest

from xp2p_trio.errors import InvalidArgument
from xp2p_trio.sansio import AddressFilter


def test_an_empty_filter_admits_every_address_and_nothing_else() -> None:
    assert AddressFilter().admits("192.0.2.1")
    assert AddressFilter().admits("2001:db8::1")
    assert not AddressFilter().admits("example.org")


def test_what_is_denied_is_denied_even_where_it_is_allowed() -> None:
    chosen = AddressFilter(allow=("10.0.0.0/8",), deny=("10.1.0.0/16", "10.2.0.1"))
    assert chosen.admits("10.0.0.1")
    assert not chosen.admits("10.1.2.3")
    assert not chosen.admits("10.2.0.1")
    assert not chosen.admits("192.0.2.1")


@pytest.mark.parametrize("network", ["10.0.0.0/8", "::ffff:10.0.0.0/104", "::ffff:a00:0/104"])
@pytest.mark.parametrize(
    "spelling",
    ["::ffff:10.1.0.1", "::FFFF:0a01:1", "10.1.0.1", "64:ff9b::10.1.0.1", "::10.1.0.1", "64:ff9b::a01:1%eth0"],
)
def test_another_spelling_is_no_way_around(network: str, spelling: str) -> None:
    """An IPv4 address in one of NAT64 is reached by who has NAT64."""
    assert not AddressFilter(deny=(network,)).admits(spelling)


def test_an_embedded_address_is_not_allowed_for_it() -> None:
    assert AddressFilter(allow=("::ffff:10.0.0.0/104",)).admits("10.1.0.1")
    assert not AddressFilter(allow=("10.0.0.0/8",)).admits("64:ff9b::10.1.0.1")
    assert AddressFilter(allow=("64:ff9b::/96",)).admits("64:ff9b::10.1.0.1")
    assert AddressFilter(deny=("10.0.0.0/8",)).admits("64:ff9b::192.0.2.1")
    assert AddressFilter(deny=("::/8",)).admits("10.1.0.1")


@pytest.mark.parametrize("wrong", ["10.0.0.0/33", "10.0.0.1/8", "example.org", "", "1.2.3"])
def test_what_is_no_network_is_named_when_the_filter_is_made(wrong: str) -> None:
    with pytest.raises(InvalidArgument, match="address filter") as caught:
        AddressFilter(deny=("192.0.2.0/24", wrong))
    assert repr(wrong) in str(caught.value)


def test_one_network_may_stand_alone() -> None:
    assert AddressFilter("192.0.2.0/24").allow == AddressFilter(("192.0.2.0/24",)).allow
