import math

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from xp2p_trio.errors import InvalidArgument
from xp2p_trio.sansio import Burst
from xp2p_trio.testing import Link, Network
from xp2p_trio.testing.sockets import RECEIVE_BUFFER_SIZE, VirtualSocket


@pytest.fixture
def network() -> Network:
    network = Network(link=Link(delay=0.1))
    network.host("alice", "192.0.2.1")
    network.host("bob", "192.0.2.2", "2001:db8::2")
    return network


def pair(network: Network) -> tuple[VirtualSocket, VirtualSocket]:
    return network.host("alice").bind(("192.0.2.1", 0)), network.host("bob").bind(("192.0.2.2", 0))


def to(sender: VirtualSocket, receiver: VirtualSocket, *datagrams: bytes) -> Burst:
    return Burst(sender.address, receiver.address, datagrams)


async def test_a_burst_arrives_after_the_delay(network: Network, autojump_clock: MockClock) -> None:
    alice, bob = pair(network)
    started = trio.current_time()
    assert alice.transmit(to(alice, bob, b"a", b"b")) == 2
    assert await bob.receive() == [Burst(bob.address, alice.address, [b"a", b"b"])]
    assert trio.current_time() - started == pytest.approx(0.1)


async def test_a_send_wakes_who_already_waits(network: Network, autojump_clock: MockClock) -> None:
    alice, bob = pair(network)
    times = []

    async def wait_for(receiver: VirtualSocket) -> None:
        await receiver.receive()
        times.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_for, bob)
        nursery.start_soon(wait_for, alice)
        await wait_all_tasks_blocked()
        started = trio.current_time()
        alice.transmit(to(alice, bob, b"x"))
        bob.transmit(to(bob, alice, b"y"))
    assert times == pytest.approx([started + 0.1, started + 0.1])


async def test_ping_pong_over_virtual_hours(network: Network, autojump_clock: MockClock) -> None:
    network.set_links("alice", "bob", Link(delay=10.0))
    alice, bob = pair(network)
    started = trio.current_time()

    async def echo() -> None:
        for _ in range(500):
            (burst,) = await bob.receive()
            bob.transmit(Burst(bob.address, burst.remote, burst.datagrams))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo)
        for number in range(500):
            payload = number.to_bytes(2, "big")
            alice.transmit(to(alice, bob, payload))
            (burst,) = await alice.receive()
            assert burst.datagrams == [payload]
    assert trio.current_time() - started == pytest.approx(10_000.0)


async def test_cancelling_the_timekeeper_hands_the_time_over(network: Network, autojump_clock: MockClock) -> None:
    alice, bob = pair(network)
    arrived = []

    async def receive() -> None:
        arrived.extend(await bob.receive())

    async with trio.open_nursery() as nursery:
        scope = trio.CancelScope()

        async def wait_in_vain() -> None:
            with scope:
                await alice.receive()

        nursery.start_soon(wait_in_vain)
        await wait_all_tasks_blocked()
        nursery.start_soon(receive)
        await wait_all_tasks_blocked()
        alice.transmit(to(alice, bob, b"x"))
        scope.cancel()
    assert arrived == [Burst(bob.address, alice.address, [b"x"])]


async def test_a_cancelled_receive_loses_nothing(network: Network, autojump_clock: MockClock) -> None:
    alice, bob = pair(network)
    alice.transmit(to(alice, bob, b"x"))
    with trio.move_on_after(0.05) as scope:
        await bob.receive()
    assert scope.cancelled_caught
    with trio.CancelScope() as scope:
        scope.cancel()
        await bob.receive()
    assert scope.cancelled_caught
    assert [burst.datagrams for burst in await bob.receive()] == [[b"x"]]


async def test_close_wakes_the_receiver_and_frees_the_port(network: Network, autojump_clock: MockClock) -> None:
    alice, _ = pair(network)
    async with trio.open_nursery() as nursery:

        async def receive() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await alice.receive()

        nursery.start_soon(receive)
        await wait_all_tasks_blocked()
        alice.close()
        alice.close()
    with pytest.raises(trio.ClosedResourceError):
        await alice.receive()
    with pytest.raises(trio.ClosedResourceError):
        alice.transmit(to(alice, alice, b"x"))
    with pytest.raises(trio.ClosedResourceError):
        await alice.wait_writable()
    network.host("alice").bind(alice.address).close()


async def test_one_task_at_a_time_receives(network: Network, autojump_clock: MockClock) -> None:
    alice, _ = pair(network)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(alice.receive)
        await wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await alice.receive()
        nursery.cancel_scope.cancel()


async def test_a_held_socket_takes_nothing_until_released(network: Network, autojump_clock: MockClock) -> None:
    alice, bob = pair(network)
    alice.hold()
    assert alice.transmit(to(alice, bob, b"x")) == 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(alice.wait_writable)
        await wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await alice.wait_writable()
        alice.release()
    assert alice.transmit(to(alice, bob, b"x")) == 1


async def test_a_receive_buffer_has_an_end(network: Network, autojump_clock: MockClock) -> None:
    alice, bob = pair(network)
    datagrams = [bytes(1000)] * (RECEIVE_BUFFER_SIZE // 1000 + 10)
    for datagram in datagrams:
        network.send(to(alice, bob, datagram), trio.current_time())
        network.send(Burst(("192.0.2.1", 1), bob.address, [b""]), trio.current_time())
    received = await bob.receive()
    assert bob.dropped == 10
    assert sum(len(burst.datagrams) for burst in received) == len(datagrams) * 2 - 10


async def test_binding(network: Network) -> None:
    host = network.host("bob")
    assert [interface.address for interface in host.interfaces()] == ["192.0.2.2", "2001:db8::2"]
    first = host.bind(("2001:DB8::2", 0))
    assert first.address[0] == "2001:db8::2"
    assert first.address[1] != 0
    with pytest.raises(OSError, match="in use"):
        host.bind(first.address)
    with pytest.raises(OSError, match=r"192\.0\.2\.1"):
        host.bind(("192.0.2.1", 0))
    with pytest.raises(InvalidArgument, match="numeric"):
        host.bind(("bob.example", 0))
    with pytest.raises(InvalidArgument, match="70000"):
        host.bind(("192.0.2.2", 70000))


async def test_resolving(network: Network) -> None:
    alice = network.host("alice")
    assert await alice.resolve("bob", 5) == [("192.0.2.2", 5), ("2001:db8::2", 5)]
    assert await alice.resolve("2001:DB8::9", 5) == [("2001:db8::9", 5)]
    with pytest.raises(OSError, match="carol"):
        await alice.resolve("carol", 5)


async def test_nobody_bound_there_is_no_error(network: Network, autojump_clock: MockClock) -> None:
    alice, bob = pair(network)
    alice.transmit(Burst(alice.address, ("192.0.2.2", 7), [b"x"]))
    alice.transmit(to(alice, bob, b"y"))
    assert [burst.datagrams for burst in await bob.receive()] == [[b"y"]]
    assert network.next_timeout() == math.inf


async def test_a_socket_is_served_when_the_one_that_should_keep_the_time_has_its_own_news(
    network: Network, autojump_clock: MockClock
) -> None:
    """The timekeeper leaves in the same turn in which something arrives for the one that would take over from it."""
    alice, bob = pair(network)
    third = network.host("bob").bind(("192.0.2.2", 0))
    leaving = trio.CancelScope()
    received: list[bytes] = []

    async def keep_the_time_for_a_while() -> None:
        with leaving:
            await alice.receive()

    async def receive_once(receiver: VirtualSocket) -> None:
        received.extend((await receiver.receive())[0].datagrams)

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            for function, *arguments in ((keep_the_time_for_a_while,), (receive_once, bob), (receive_once, third)):
                nursery.start_soon(function, *arguments)
                await wait_all_tasks_blocked()
            network.set_link("alice", "bob", Link())
            leaving.cancel()
            alice.transmit(to(alice, bob, b"at once"))
            network.set_link("alice", "bob", Link(delay=1.0))
            alice.transmit(to(alice, third, b"later"))
    assert received == [b"at once", b"later"]
