"""Sockets whose buffer is full: timers go on, the other sockets go on, and what waits is bounded."""

import pytest
import trio
import trio.testing

from tests.driver.wrapped import WrappedNetwork
from xp2p_trio import Configuration, ConnectionState, connect, signaling_pair
from xp2p_trio.testing import Link, Network


class KeptNetwork(WrappedNetwork):
    """A host whose sockets the test can hold."""

    def __init__(self, host):
        super().__init__(host)
        self.sockets = []

    def bind(self, address):
        self.sockets.append(self._host.bind(address))
        return self.sockets[-1]


@pytest.fixture
def hosts():
    network = Network(seed=5, link=Link(delay=0.01))
    alice = network.host("alice", *(f"192.0.2.{number}" for number in range(1, 9)))
    return KeptNetwork(alice), network.host("bob", "198.51.100.1")


async def open_channel(alice, bob):
    ours = alice.create_data_channel("c")
    theirs = await bob.incoming_channels.accept()
    await ours.wait_open()
    return ours, theirs


async def test_leaving_takes_bounded_time_when_the_socket_blocks(autojump_clock, hosts):
    kept, other = hosts
    left, right = signaling_pair()
    config = Configuration(close_timeout=3)
    async with connect(right, initiator=False, network=other) as bob:
        async with connect(left, initiator=True, network=kept, config=config) as alice:
            ours, _ = await open_channel(alice, bob)
            for socket in kept.sockets:
                socket.hold()
            await ours.send("this will never leave")
            start = trio.current_time()
        assert trio.current_time() - start == pytest.approx(3, abs=1)


async def test_consent_expires_when_the_socket_blocks(autojump_clock, hosts):
    kept, other = hosts
    left, right = signaling_pair()
    async with connect(left, initiator=True, network=kept) as alice, connect(right, initiator=False, network=other):
        await alice.wait_connected()
        for socket in kept.sockets:
            socket.hold()
        with trio.fail_after(60):
            await alice.state.wait_value(ConnectionState.FAILED)


async def test_one_blocked_socket_stops_no_other(autojump_clock, hosts):
    kept, other = hosts
    left, right = signaling_pair()
    async with (
        connect(left, initiator=True, network=kept) as alice,
        connect(right, initiator=False, network=other) as bob,
    ):
        assert len(kept.sockets) == 8
        kept.sockets[0].hold()
        with trio.fail_after(2):  # the checks of the other seven go on
            await alice.wait_connected()
            ours, theirs = await open_channel(alice, bob)
            await ours.send("hello")
            assert await theirs.receive() == "hello"


async def test_what_waited_shortly_is_not_lost(autojump_clock, hosts):
    kept, other = hosts
    left, right = signaling_pair()
    async with (
        connect(left, initiator=True, network=kept) as alice,
        connect(right, initiator=False, network=other) as bob,
    ):
        ours, theirs = await open_channel(alice, bob)
        messages = [bytes([number]) * 20_000 for number in range(50)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ours.send_many, messages)
            for _ in range(20):
                for socket in kept.sockets:
                    socket.hold()
                await trio.sleep(0.1)
                for socket in kept.sockets:
                    socket.release()
                await trio.sleep(0.01)
            assert [await theirs.receive() for _ in messages] == messages
        assert alice.statistics().sctp.retransmitted_chunks == 0
