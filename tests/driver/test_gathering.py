"""The sockets that gathering binds: on which addresses, and on which ports."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable

import pytest
import trio
import trio.testing

from xp2p_trio.driver import open_peer_connection
from xp2p_trio.driver.gathering import bind_in_range
from xp2p_trio.driver.system_network import SystemNetwork
from xp2p_trio.peer import Configuration, InterfaceFilter
from xp2p_trio.sansio import Address, AddressFilter
from xp2p_trio.testing import Host, Network

HOME = ("192.0.2.1", "2001:db8::1", "198.51.100.1", "2001:db8::2")


@pytest.fixture
def host() -> Host:
    return Network(seed=1).host("home", *HOME)


async def gathered(host: Host, **choices: object) -> list[Address]:
    """The host candidates of a connection, best first."""
    async with open_peer_connection(Configuration(**choices), network=host) as pc:  # type: ignore[arg-type]
        pc.set_local_description()
        return [(each.address, each.port) async for each in pc.local_candidates]


async def gathered_hosts(host: Host, **choices: object) -> list[str]:
    return [address for address, _ in await gathered(host, **choices)]


# --- addresses


async def test_the_families_take_turns(host: Host, autojump_clock: trio.testing.MockClock) -> None:
    assert await gathered_hosts(host) == ["192.0.2.1", "198.51.100.1"]
    both = await gathered_hosts(host, enable_ipv6=True)
    assert both == ["2001:db8::1", "2001:db8::2", "192.0.2.1", "198.51.100.1"]


async def test_only_what_the_filter_admits_is_bound(host: Host, autojump_clock: trio.testing.MockClock) -> None:
    wanted = InterfaceFilter(addresses=AddressFilter(allow=["192.0.2.0/24", "2001:db8::2"]))
    assert await gathered_hosts(host, interfaces=wanted, enable_ipv6=True) == ["2001:db8::2", "192.0.2.1"]


async def test_a_filter_that_admits_nothing_is_told(
    host: Host, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "xp2p_trio.driver"):
        assert await gathered_hosts(host, interfaces=InterfaceFilter(allow_names=["eth0"])) == []
    assert "virtual 192.0.2.1" in caplog.text


async def test_a_chosen_address_is_bound_whatever_the_filter_says(
    host: Host, autojump_clock: trio.testing.MockClock
) -> None:
    wanted = InterfaceFilter(deny_names=["*"])
    assert await gathered_hosts(host, interfaces=wanted, bind_address="198.51.100.1") == ["198.51.100.1"]


# --- ports


async def test_every_socket_has_a_port_of_the_range(host: Host, autojump_clock: trio.testing.MockClock) -> None:
    addresses = await gathered(host, port_range=(5000, 5009), enable_ipv6=True)
    assert len(addresses) == len(HOME)
    assert all(5000 <= port <= 5009 for _, port in addresses)


async def test_the_last_free_port_of_the_range_is_found_and_then_it_is_used_up(
    host: Host, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    taken = [host.bind(("192.0.2.1", port)) for port in range(5000, 5010) if port != 5006]
    choices = {"port_range": (5000, 5009), "bind_address": "192.0.2.1"}
    assert await gathered(host, **choices) == [("192.0.2.1", 5006)]
    taken.append(host.bind(("192.0.2.1", 5006)))
    with pytest.raises(OSError, match=r"the port range 5000-5009 is used up on 192\.0\.2\.1"):
        await gathered(host, **choices)
    with caplog.at_level(logging.WARNING, "xp2p_trio.driver"):  # of several addresses another one may do
        assert await gathered(host, port_range=(5000, 5009)) != []
    assert "the port range 5000-5009 is used up on 192.0.2.1" in caplog.text
    for socket in taken:
        socket.close()


async def test_connections_spread_over_the_range(autojump_clock: trio.testing.MockClock) -> None:
    network = Network(seed=1)
    hosts = [network.host(f"host{number}", f"192.0.2.{number}") for number in range(1, 21)]
    ports = {port for host in hosts for _, port in await gathered(host, port_range=(10000, 59999))}
    assert len(ports) > 1  # one chance in 50,000 ** 19 to fail


def binder(errors: dict[int, int]) -> tuple[Callable[[Address], Address], list[int]]:
    """A function that binds, and the ports that it was asked for."""
    asked: list[int] = []

    def bind(address: Address) -> Address:
        asked.append(address[1])
        if address[1] in errors:
            raise OSError(errors[address[1]], f"port {address[1]} failed")
        return address

    return bind, asked


@pytest.mark.parametrize("error", [errno.EADDRINUSE, errno.EACCES])
def test_each_port_is_tried_once_in_a_circle(error: int) -> None:
    bind, asked = binder(dict.fromkeys(range(65530, 65536), error))
    with pytest.raises(OSError, match=r"range 65530-65535 is used up on 192\.0\.2\.1: port \d+ failed") as info:
        bind_in_range(bind, "192.0.2.1", (65530, 65535))
    assert info.value.errno == errno.EADDRINUSE
    start = asked[0] - 65530
    assert asked == [65530 + (start + step) % 6 for step in range(6)]


def test_an_address_that_cannot_be_bound_at_all_is_not_tried_on_every_port() -> None:
    bind, asked = binder(dict.fromkeys(range(5000, 6000), errno.EADDRNOTAVAIL))
    with pytest.raises(OSError, match="failed") as info:
        bind_in_range(bind, "192.0.2.1", (5000, 5999))
    assert info.value.errno == errno.EADDRNOTAVAIL
    assert len(asked) == 1


def test_without_a_range_the_system_chooses() -> None:
    bind, asked = binder({})
    assert bind_in_range(bind, "192.0.2.1", None) == ("192.0.2.1", 0)
    assert asked == [0]


async def test_the_operating_system_is_asked_alike() -> None:
    network = SystemNetwork()
    first = network.bind(("127.0.0.1", 0))
    port = first.address[1]
    with pytest.raises(OSError, match=f"range {port}-{port} is used up on 127.0.0.1"):
        bind_in_range(network.bind, "127.0.0.1", (port, port))
    first.close()
    second = bind_in_range(network.bind, "127.0.0.1", (port, port))
    assert second.address == ("127.0.0.1", port)
    second.close()
