"""What the driver may expect of any network: the operating system's and the simulated one's answer alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from xp2p_trio.driver.network import DatagramSocket, Network, StreamSocket
from xp2p_trio.driver.system_network import SystemNetwork
from xp2p_trio.errors import InvalidArgument
from xp2p_trio.sansio import Address, Burst, Transport
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


async def test_multicast_reaches_every_socket_that_shares_the_port(network: Network) -> None:
    group = "224.0.0.251"
    try:
        left, right = (network.bind_multicast(group, 25353, "127.0.0.1") for _ in range(2))
    except OSError as error:
        pytest.skip(f"loopback has no multicast here: {error}")
    outside = network.bind_multicast(group, 0, "127.0.0.1")
    assert left.address == right.address == ("127.0.0.1", 25353)
    assert outside.address[0] == "127.0.0.1"
    for sender in (left, outside):
        assert sender.transmit(Burst(sender.address, (group, 25353), [b"to all"])) == 1
        for receiver in (left, right):
            with trio.fail_after(5):
                (burst,) = await receiver.receive()
            assert burst == Burst(receiver.address, sender.address, [b"to all"])
    left.transmit(Burst(left.address, outside.address, [b"to one"]))
    assert await take(outside, 1) == [b"to one"]
    for sock in (left, right, outside):
        sock.close()


async def test_a_group_is_joined_on_an_address_of_ours(network: Network) -> None:
    with pytest.raises(OSError, match=r"203\.0\.113\.5"):
        network.bind_multicast("224.0.0.251", 25353, "203.0.113.5")
    for address, port in (("here.example", 0), ("127.0.0.1", -1), ("127.0.0.1", 65536)):
        with pytest.raises(InvalidArgument):
            network.bind_multicast("224.0.0.251", port, address)


async def test_numeric_names_resolve_to_themselves(network: Network) -> None:
    assert await network.resolve("192.0.2.1", 3478) == [("192.0.2.1", 3478)]
    assert await network.resolve("2001:db8:0::1", 3478) == [("2001:db8::1", 3478)]


async def read(stream: StreamSocket, size: int) -> bytes:
    received = b""
    with trio.fail_after(5):
        while len(received) < size:
            piece = await stream.receive()
            assert 0 < len(piece) <= 65_536
            received += piece
    return received


async def connect(network: Network, host: str) -> tuple[StreamSocket, StreamSocket]:
    listener = network.listen((host, 0))
    assert listener.address[0] == host
    assert listener.address[1] > 0
    with trio.fail_after(5):
        ours = await network.connect_stream(host, listener.address, Transport.TCP, "")
        theirs = await listener.accept()
    listener.close()
    listener.close()
    return ours, theirs


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_streams_travel(network: Network, host: str) -> None:
    ours, theirs = await connect(network, host)
    assert (ours.local, ours.remote) == (theirs.remote, theirs.local)
    assert ours.transport is theirs.transport is Transport.TCP
    assert ours.transmit([b"a" * 100_000, b"b"]) == 2
    assert theirs.transmit([b"back"]) == 1
    assert await read(theirs, 100_001) == b"a" * 100_000 + b"b"
    assert await read(ours, 4) == b"back"
    with trio.fail_after(5):
        await ours.wait_writable()
    assert not ours.is_blocked
    ours.close()
    with trio.fail_after(5):
        assert await theirs.receive() == await theirs.receive() == b""
    theirs.close()
    theirs.close()


async def test_a_stream_that_nobody_reads_takes_whole_frames_until_it_takes_none(network: Network) -> None:
    ours, theirs = await connect(network, "127.0.0.1")
    frame, count = bytes(range(250)) * 100, 0
    while ours.transmit([frame]):
        count += 1
    assert ours.is_blocked
    assert ours.transmit([frame, b""]) == 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours.wait_writable)
        assert await read(theirs, count * len(frame)) == frame * count
    assert not ours.is_blocked
    assert ours.transmit([frame]) == 1
    ours.close()
    theirs.close()


async def test_closing_a_stream_wakes_and_ends(network: Network) -> None:
    ours, theirs = await connect(network, "127.0.0.1")
    listener = network.listen(("127.0.0.1", 0))
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            for operation in (ours.receive, listener.accept):

                async def wait(operation: Callable[[], Awaitable[object]] = operation) -> None:
                    with pytest.raises(trio.ClosedResourceError):
                        await operation()

                nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            for operation in (ours.receive, listener.accept):
                with pytest.raises(trio.BusyResourceError):
                    await operation()
            ours.close()
            listener.close()
    for operation in (ours.receive, ours.wait_writable, listener.accept):
        with pytest.raises(trio.ClosedResourceError):
            await operation()
    with pytest.raises(trio.ClosedResourceError):
        ours.transmit([b"x"])
    theirs.close()


async def test_a_stream_to_nowhere_is_an_os_error(network: Network) -> None:
    listener = network.listen(("127.0.0.1", 0))
    with pytest.raises(OSError, match=str(listener.address[1])):
        network.listen(listener.address)
    listener.close()
    with trio.fail_after(5), pytest.raises(ConnectionRefusedError, match=f"127.0.0.1 port {listener.address[1]}"):
        await network.connect_stream(None, listener.address, Transport.TCP, "")
    with pytest.raises(OSError, match=r"203\.0\.113\.5"):
        await network.connect_stream("203.0.113.5", listener.address, Transport.TCP, "")
    with pytest.raises(OSError, match=r"203\.0\.113\.5"):
        network.listen(("203.0.113.5", 0))
    network.listen(listener.address).close()


@pytest.mark.parametrize("address", [("here.example", 1), ("", 1), ("127.0.0.1", -1), ("127.0.0.1", 65536)])
async def test_no_stream_goes_to_what_is_no_address(network: Network, address: Address) -> None:
    with pytest.raises(InvalidArgument):
        network.listen(address)
    with pytest.raises(InvalidArgument):
        await network.connect_stream(None, address, Transport.TCP, "")
    with pytest.raises(InvalidArgument):
        await network.connect_stream(None, ("127.0.0.1", 9), Transport.UDP, "")


async def test_nobody_is_told_of_changes_that_are_none(network: Network) -> None:
    network.interfaces()
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _() -> None:
            await network.wait_interfaces_changed()
            raise AssertionError("nothing has changed")

        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel("it waits")
