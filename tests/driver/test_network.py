"""What the driver may expect of any network: the operating system's and the simulated one's answer alike."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
import trio.testing

from xp2p_trio.driver.network import DatagramSocket, Network
from xp2p_trio.driver.udp import SystemNetwork
from xp2p_trio.errors import InvalidArgument
from xp2p_trio.sansio import Burst
from xp2p_trio.testing import Network as VirtualNetwork


def virtual_network() -> Network:
    return VirtualNetwork(seed=1).host("here", "127.0.0.1", "::1")


@pytest.fixture(
    params=[SystemNetwork, lambda: SystemNetwork(offload=False), virtual_network], ids=["system", "plain", "virtual"]
)
def network(request: pytest.FixtureRequest) -> Network:
    make: Callable[[], Network] = request.param
    return make()


async def take(sock: DatagramSocket, count: int) -> list[bytes]:
    datagrams: list[bytes] = []
    with trio.fail_after(5):
        while len(datagrams) < count:
            for burst in await sock.receive():
                assert burst.local == sock.address
                datagrams += burst.datagrams
    return datagrams


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_datagrams_travel(network: Network, host: str) -> None:
    left, right = network.bind((host, 0)), network.bind((host, 0))
    assert left.address[0] == right.address[0] == host
    assert 0 < left.address[1] != right.address[1] > 0
    datagrams = [b"a" * 1200, b"b" * 1200, b"c"]
    assert left.transmit(Burst(left.address, right.address, datagrams)) == 3
    assert await take(right, 3) == datagrams
    assert right.transmit(Burst(right.address, left.address, [b"back"])) == 1
    assert await take(left, 1) == [b"back"]
    for sock in (left, right):
        with trio.fail_after(5):
            await sock.wait_writable()
        sock.close()
        sock.close()


async def test_every_interface_can_be_bound(network: Network) -> None:
    interfaces = network.interfaces()
    assert interfaces
    for interface in interfaces:
        sock = network.bind((interface.address, 0))
        assert sock.address[0] == interface.address
        sock.close()


async def test_a_port_is_bound_once(network: Network) -> None:
    sock = network.bind(("127.0.0.1", 0))
    with pytest.raises(OSError, match=str(sock.address[1])):
        network.bind(sock.address)
    sock.close()
    network.bind(sock.address).close()


@pytest.mark.parametrize("address", [("here.example", 0), ("", 0), ("127.0.0.1", -1), ("127.0.0.1", 65536)])
async def test_what_is_no_address_is_the_callers_mistake(network: Network, address: tuple[str, int]) -> None:
    with pytest.raises(InvalidArgument):
        network.bind(address)


async def test_an_address_of_another_machine_is_an_os_error(network: Network) -> None:
    with pytest.raises(OSError, match=r"203\.0\.113\.5"):
        network.bind(("203.0.113.5", 0))


async def test_closing_wakes_and_ends(network: Network) -> None:
    sock = network.bind(("127.0.0.1", 0))

    async def wait() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await sock.receive()

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.BusyResourceError):
                await sock.receive()
            sock.close()
    with pytest.raises(trio.ClosedResourceError):
        await sock.receive()
    with pytest.raises(trio.ClosedResourceError):
        await sock.wait_writable()
    with pytest.raises(trio.ClosedResourceError):
        sock.transmit(Burst(sock.address, sock.address, [b"x"]))


async def test_a_datagram_to_nowhere_is_lost(network: Network) -> None:
    sock, gone = network.bind(("127.0.0.1", 0)), network.bind(("127.0.0.1", 0))
    gone.close()
    for _ in range(3):
        assert sock.transmit(Burst(sock.address, gone.address, [b"x", b"y"])) == 2
    other = network.bind(("127.0.0.1", 0))
    other.transmit(Burst(other.address, sock.address, [b"alive"]))
    assert await take(sock, 1) == [b"alive"]
    sock.close()
    other.close()


async def test_numeric_names_resolve_to_themselves(network: Network) -> None:
    assert await network.resolve("192.0.2.1", 3478) == [("192.0.2.1", 3478)]
    assert await network.resolve("2001:db8:0::1", 3478) == [("2001:db8::1", 3478)]
