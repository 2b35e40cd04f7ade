"""Sockets of the kernel: bursts in, bursts out, with and without segmentation offload."""

from __future__ import annotations

import socket
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from xp2p_trio.driver.system_network import SystemNetwork
from xp2p_trio.driver.udp import RECEIVE_BATCH, UdpSocket
from xp2p_trio.errors import InvalidArgument
from xp2p_trio.sansio import Address, Burst

HAS_IPV6 = socket.has_ipv6
OFFLOADS = [pytest.param(True, id="offload"), pytest.param(False, id="plain")]


@asynccontextmanager
async def open_sockets(*offloads: bool, host: str = "127.0.0.1") -> AsyncIterator[list[UdpSocket]]:
    sockets = [SystemNetwork(offload=offload).bind((host, 0)) for offload in offloads]
    try:
        yield sockets
    finally:
        for each in sockets:
            each.close()


async def receive_from(receiver: UdpSocket, source: Address, count: int) -> list[bytes]:
    datagrams: list[bytes] = []
    with trio.fail_after(5):
        while len(datagrams) < count:
            for burst in await receiver.receive():
                assert burst.local == receiver.address
                assert burst.remote == source
                datagrams += burst.datagrams
    return datagrams


@pytest.mark.parametrize("sending", OFFLOADS)
@pytest.mark.parametrize("receiving", OFFLOADS)
@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.sampled_from([0, 1, 2, 20, 1199, 1200, 1200, 1200, 1472, 9000]), min_size=1, max_size=100))
def test_a_burst_arrives_as_it_was_sent(sending: bool, receiving: bool, sizes: list[int]) -> None:
    async def main() -> None:
        async with open_sockets(sending, receiving) as (sender, receiver):
            datagrams = [bytes([index]) * size for index, size in enumerate(sizes)]
            assert sender.transmit(Burst(sender.address, receiver.address, datagrams)) == len(datagrams)
            assert await receive_from(receiver, sender.address, len(datagrams)) == datagrams
            assert sender.statistics.datagrams_sent == len(datagrams)
            assert sender.statistics.datagrams_lost == 0
            assert receiver.statistics.datagrams_received == len(datagrams)

    trio.run(main)


@pytest.mark.parametrize("offload", OFFLOADS)
async def test_bursts_are_grouped_by_source_in_order(offload: bool) -> None:
    async with open_sockets(offload, offload, offload) as (receiver, first, second):
        for round_number in range(3):
            for sender, name in ((first, b"first"), (second, b"second")):
                sender.transmit(Burst(sender.address, receiver.address, [b"%s %d" % (name, round_number)]))
        with trio.fail_after(5):
            bursts = await receiver.receive()
        assert bursts == [
            Burst(receiver.address, first.address, [b"first 0", b"first 1", b"first 2"]),
            Burst(receiver.address, second.address, [b"second 0", b"second 1", b"second 2"]),
        ]


@pytest.mark.parametrize("offload", OFFLOADS)
async def test_a_batch_is_bounded_and_nothing_is_lost(offload: bool) -> None:
    async with open_sockets(False, offload) as (sender, receiver):
        sender.transmit(Burst(sender.address, receiver.address, [b"%d" % index for index in range(3 * RECEIVE_BATCH)]))
        received: list[bytes] = []
        with trio.fail_after(5):
            while len(received) < 3 * RECEIVE_BATCH:
                (burst,) = await receiver.receive()
                assert len(burst.datagrams) < 2 * RECEIVE_BATCH
                received += burst.datagrams
        assert received == [b"%d" % index for index in range(3 * RECEIVE_BATCH)]


async def test_every_receive_is_a_checkpoint() -> None:
    async with open_sockets(False, False) as (sender, receiver):
        sender.transmit(Burst(sender.address, receiver.address, [b"x"] * (RECEIVE_BATCH + 1)))
        for _ in range(2):
            with trio.testing.assert_checkpoints():
                await receiver.receive()


async def test_a_cancelled_receive_loses_nothing() -> None:
    async with open_sockets(True, True) as (sender, receiver):
        sender.transmit(Burst(sender.address, receiver.address, [b"kept"] * (RECEIVE_BATCH + 5)))
        count = 0
        for _ in range(3):
            with trio.CancelScope() as scope:
                scope.cancel()
                await receiver.receive()
                raise AssertionError("a cancelled receive returned")
        with trio.fail_after(5):
            while count < RECEIVE_BATCH + 5:
                with trio.CancelScope() as scope:
                    scope.cancel()
                    await receiver.receive()
                count += sum(len(burst.datagrams) for burst in await receiver.receive())
        assert count == RECEIVE_BATCH + 5


@pytest.mark.skipif(not HAS_IPV6, reason="this machine has no IPv6")
@pytest.mark.parametrize("offload", OFFLOADS)
async def test_ipv6_addresses_are_canonical(offload: bool) -> None:
    async with open_sockets(offload, offload, host="0:0:0:0:0:0:0:1") as (sender, receiver):
        assert sender.address[0] == "::1"
        datagrams = [b"a" * 100, b"b" * 100, b"c"]
        assert sender.transmit(Burst(sender.address, receiver.address, datagrams)) == 3
        assert await receive_from(receiver, sender.address, 3) == datagrams


@pytest.mark.skipif(not HAS_IPV6, reason="this machine has no IPv6")
async def test_an_ipv6_socket_leaves_the_ipv4_port_alone() -> None:
    network = SystemNetwork()
    with closing(network.bind(("::", 0))) as six, closing(network.bind(("0.0.0.0", six.address[1]))) as four:
        assert four.address == ("0.0.0.0", six.address[1])


async def test_bind_says_what_is_wrong() -> None:
    network = SystemNetwork()
    taken = network.bind(("127.0.0.1", 0))
    with closing(taken), pytest.raises(OSError, match=rf"127\.0\.0\.1 port {taken.address[1]}: .*in use"):
        network.bind(taken.address)
    with pytest.raises(OSError, match=r"203\.0\.113\.9 port 0: "):
        network.bind(("203.0.113.9", 0))
    with pytest.raises(InvalidArgument, match="numeric"):
        network.bind(("localhost", 0))
    with pytest.raises(InvalidArgument, match="65536"):
        network.bind(("127.0.0.1", 65536))


async def test_close_wakes_the_receiver_and_ends_the_socket() -> None:
    async with open_sockets(True) as (sock,):
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:

                async def wait() -> None:
                    with pytest.raises(trio.ClosedResourceError):
                        await sock.receive()

                nursery.start_soon(wait)
                await trio.testing.wait_all_tasks_blocked()
                sock.close()
        sock.close()
        with pytest.raises(trio.ClosedResourceError):
            await sock.receive()
        with pytest.raises(trio.ClosedResourceError):
            await sock.wait_writable()
        with pytest.raises(trio.ClosedResourceError):
            sock.transmit(Burst(sock.address, sock.address, [b"x"]))


async def test_a_second_receiver_is_refused() -> None:
    async with open_sockets(True) as (sock,), trio.open_nursery() as nursery:

        async def wait() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await sock.receive()

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await sock.receive()
        sock.close()


async def test_an_idle_socket_is_writable() -> None:
    async with open_sockets(True) as (sock,):
        with trio.fail_after(5), trio.testing.assert_checkpoints():
            await sock.wait_writable()


async def test_resolve() -> None:
    network = SystemNetwork()
    assert await network.resolve("127.0.0.1", 3478) == [("127.0.0.1", 3478)]
    assert ("127.0.0.1", 19302) in await network.resolve("localhost", 19302)
    assert await network.resolve("0:0::1", 1) == [("::1", 1)]
    for name in ("bad..name", "x" * 64 + ".example", "\udc80"):
        with pytest.raises(socket.gaierror):
            await network.resolve(name, 1)


class SpySocket(socket.socket):
    """A socket that keeps where it was asked to send."""

    def __init__(self) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_DGRAM)
        self.destinations: list[object] = []
        self.setblocking(False)
        self.bind(("127.0.0.1", 0))

    def sendto(self, data: bytes, address: Address) -> int:  # type: ignore[override]
        self.destinations.append(address)
        return len(data)

    def sendmsg(self, buffers: Sequence[bytes], *_: object) -> int:  # type: ignore[override]
        self.destinations.append(_[-1])
        return sum(map(len, buffers))


@pytest.fixture
def spy() -> Iterator[SpySocket]:
    with SpySocket() as sock:
        yield sock


@pytest.mark.parametrize(
    "remote", [("stun.example", 3478), ("::1", 1), ("127.0.0.1", 0), ("127.0.0.1", 65536), ("", 1)]
)
async def test_an_unusable_destination_never_reaches_the_resolver(spy: SpySocket, remote: Address) -> None:
    sock = UdpSocket(spy)
    for count in (1, 2, 3):
        assert sock.transmit(Burst(sock.address, remote, [b"x"] * count)) == count
    assert spy.destinations == []
    assert sock.statistics.datagrams_lost == 6


@pytest.mark.skipif(sys.platform != "linux", reason="segmentation offload is Linux's")
async def test_a_run_leaves_by_one_call(spy: SpySocket) -> None:
    sock = UdpSocket(spy)
    assert sock.statistics.is_offloading
    assert sock.transmit(Burst(sock.address, ("127.0.0.1", 9), [b"x" * 1000] * 64 + [b"y" * 1000, b"z", b"z"])) == 67
    assert len(spy.destinations) == 3


async def test_switched_off_nothing_is_joined(spy: SpySocket) -> None:
    sock = UdpSocket(spy, offload=False)
    assert not sock.statistics.is_offloading
    assert sock.transmit(Burst(sock.address, ("127.0.0.1", 9), [b"x" * 1000] * 10)) == 10
    assert len(spy.destinations) == 10
