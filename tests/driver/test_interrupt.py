"""Control-C at any moment: it comes out as itself, at a checkpoint of the program, and never from inside of a layer."""

import signal

import pytest
import trio
import trio.testing

from tests.driver.wrapped import WrappedNetwork
from xp2p_trio import RemoteClosed, connect, signaling_pair
from xp2p_trio.testing import Link, Network


class InterruptingSocket:
    def __init__(self, socket, countdown):
        self._socket = socket
        self._countdown = countdown
        self.address = socket.address
        self.close = socket.close
        self.wait_writable = socket.wait_writable

    async def receive(self):
        bursts = await self._socket.receive()
        self._countdown.tick("receive")
        return bursts

    def transmit(self, burst):
        self._countdown.tick("transmit")
        return self._socket.transmit(burst)


class Countdown:
    def __init__(self, call, calls):
        self._call = call
        self._left = calls

    def tick(self, call):
        assert trio.lowlevel.currently_ki_protected(), "an interrupt here would leave the layers half way"
        if call == self._call:
            self._left -= 1
            if self._left == 0:
                signal.raise_signal(signal.SIGINT)


class InterruptingNetwork(WrappedNetwork):
    """A host during whose n-th call the user presses Control-C."""

    def __init__(self, host, countdown):
        super().__init__(host)
        self._countdown = countdown

    def bind(self, address):
        return InterruptingSocket(self._host.bind(address), self._countdown)


@pytest.mark.parametrize("call", ["receive", "transmit"])
@pytest.mark.parametrize("calls", [1, 2, 4, 7, 11, 20, 50])
def test_control_c_inside_of_the_driver(call, calls):
    seen = []

    async def answer(channel):
        try:
            async for message in channel:
                await channel.send(message)
        except trio.BrokenResourceError as error:
            seen.append(error)

    async def bob(network, signaling, task_status):
        async with connect(signaling, initiator=False, network=network) as pc:
            task_status.started()
            try:
                async for channel in pc.incoming_channels:
                    await answer(channel)
                await pc.wait_connected()
            except RemoteClosed as error:
                seen.append(error)

    async def alice(network, signaling):
        async with connect(signaling, initiator=True, network=network) as pc:
            channel = pc.create_data_channel("echo")
            while True:
                await channel.send("again")
                await channel.receive()

    async def main():
        network = Network(seed=3, link=Link(delay=0.01))
        hosts = network.host("alice", "192.0.2.1"), network.host("bob", "192.0.2.2")
        left, right = signaling_pair()
        async with trio.open_nursery() as nursery:
            await nursery.start(bob, hosts[1], right)
            interrupting = InterruptingNetwork(hosts[0], Countdown(call, calls))
            try:
                await alice(interrupting, left)
            except KeyboardInterrupt:
                seen.append("interrupted")
            await trio.sleep(1)
            nursery.cancel_scope.cancel("enough was seen")

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert seen[0] == "interrupted"
    if calls >= 20:  # there was a connection, whose other end was told
        assert any(isinstance(each, RemoteClosed) for each in seen)
