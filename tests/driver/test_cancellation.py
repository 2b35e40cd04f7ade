"""Cancellation at every await of every public call: nothing stays behind, and the peer is told.

Each scenario runs again and again, cancelled at its first task step, its second, and so on, until it runs through.
"""

import pytest
import trio
import trio.testing

from tests.driver.wrapped import WrappedNetwork
from xp2p_trio import Configuration, ConnectionState, connect, open_peer_connection, signaling_pair
from xp2p_trio.driver import DatagramSocket
from xp2p_trio.sansio import Address
from xp2p_trio.testing import Link, Network

LINK = Link(delay=0.01)


class WatchedNetwork(WrappedNetwork):
    """A host whose sockets can be counted."""

    def __init__(self, host):
        super().__init__(host)
        self.sockets: list[tuple[DatagramSocket, Address]] = []

    def bind(self, address):
        socket = self._host.bind(address)
        self.sockets.append((socket, socket.address))
        return socket

    def assert_all_closed(self):
        for _socket, address in self.sockets:
            self._host.bind(address).close()  # raises if the port is still taken


class CancelAtStep(trio.abc.Instrument):
    """Cancels a scope just before one task takes its n-th step, if it takes that many."""

    def __init__(self, step):
        self._left = step
        self._task = None
        self._scope = None

    def arm(self, scope):
        self._task, self._scope = trio.lowlevel.current_task(), scope

    @property
    def has_struck(self):
        return not self._left

    def before_task_step(self, task):
        if task is self._task and self._left:
            self._left -= 1
            if self.has_struck:
                self._scope.cancel("the test says so")


async def _body_of_connect(alice, bob):
    await alice.wait_connected()


async def _send(alice, bob):
    channel = alice.create_data_channel("c")
    for _ in range(20):
        await channel.send(bytes(5000))


async def _send_many(alice, bob):
    await alice.create_data_channel("c").send_many([bytes(1000)] * 50)


async def _receive(alice, bob):
    channel = alice.create_data_channel("c")
    await channel.send("go")
    theirs = await bob.incoming_channels.accept()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(theirs.send_many, ["a", "b", "c"])
        for _ in range(3):
            await channel.receive()


async def _accept(alice, bob):
    channel = bob.create_data_channel("c")
    await alice.incoming_channels.accept()
    await channel.wait_open()


async def _wait_open_and_flushed(alice, bob):
    channel = alice.create_data_channel("c")
    await channel.wait_open()
    await channel.send(bytes(50_000))
    await channel.wait_writable()
    await channel.wait_flushed()


async def _close_channel(alice, bob):
    channel = alice.create_data_channel("c")
    await channel.send(bytes(50_000))
    await channel.aclose()


async def _stream(alice, bob):
    async with alice.open_stream("s") as stream:
        await stream.send_all(bytes(100_000))
        await stream.send_eof()


async def _aclose(alice, bob):
    channel = alice.create_data_channel("c")
    await channel.send(bytes(50_000))
    await alice.aclose()


async def _gather(alice, bob):
    await alice.complete_description()
    async for _candidate in alice.local_candidates:
        pass
    async for _event in alice.events:
        return


SCENARIOS = [
    _body_of_connect,
    _send,
    _send_many,
    _receive,
    _accept,
    _wait_open_and_flushed,
    _close_channel,
    _stream,
    _aclose,
    _gather,
]


async def _run(scenario, instrument):
    network = Network(seed=3, link=LINK)
    network.host("alice", "192.0.2.1")
    network.host("bob", "192.0.2.2")
    ours = WatchedNetwork(network.host("alice"))
    left, right = signaling_pair()
    small = Configuration(send_buffer=10_000, receive_buffer=20_000)
    tasks_before = trio.lowlevel.current_statistics().tasks_living
    async with connect(right, initiator=False, config=small, network=network.host("bob")) as bob:
        was_connected = False
        with trio.CancelScope() as scope:
            instrument.arm(scope)
            async with connect(left, initiator=True, config=small, network=ours) as alice:
                try:
                    await scenario(alice, bob)
                finally:
                    was_connected = alice.state.value is ConnectionState.CONNECTED
        ours.assert_all_closed()
        if was_connected:
            with trio.fail_after(1):
                await bob.state.wait_value(ConnectionState.CLOSED)
        else:
            await left.aclose()  # the peer need not wait for who never came
    assert trio.lowlevel.current_statistics().tasks_living == tasks_before


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__.strip("_"))
def test_cancelled_at_every_step(scenario):
    for step in range(1, 10_000):
        clock, instrument = trio.testing.MockClock(autojump_threshold=0), CancelAtStep(step)
        try:
            trio.run(_run, scenario, instrument, clock=clock, instruments=[instrument])
        except BaseException as error:
            error.add_note(f"cancelled at step {step}")
            raise
        if not instrument.has_struck:
            assert step > 3, "the scenario was never cancelled in its midst"
            return
    pytest.fail("the scenario does not end")


async def _open_and_leave(network):
    async with open_peer_connection(network=network) as peer:
        peer.set_local_description()
        await peer.local_candidates.receive()


def test_opening_and_leaving_cancelled_at_every_step():
    async def run(instrument):
        network = Network()
        ours = WatchedNetwork(network.host("alice", "192.0.2.1"))
        before = trio.lowlevel.current_statistics().tasks_living
        with trio.CancelScope() as scope:
            instrument.arm(scope)
            await _open_and_leave(ours)
        assert trio.lowlevel.current_statistics().tasks_living == before
        ours.assert_all_closed()

    for step in range(1, 1000):
        clock, instrument = trio.testing.MockClock(autojump_threshold=0), CancelAtStep(step)
        trio.run(run, instrument, clock=clock, instruments=[instrument])
        if not instrument.has_struck:
            assert step > 2
            return
    pytest.fail("the scenario does not end")
