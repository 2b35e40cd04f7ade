"""Control-C at any moment: it comes out as itself, at a checkpoint of the program, and never from inside of a layer."""

import signal

import pytest
import trio
import trio.testing

from tests.driver.wrapped import WrappedNetwork
from xp2p_trio import Configuration, RemoteClosed, connect, ice, open_peer_connection, open_udp_mux, signaling_pair
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


class ProtectedNetwork(WrappedNetwork):
    """A host that wants not to be interrupted in what background tasks ask of it."""

    def __init__(self, host):
        super().__init__(host)
        self.calls = set()

    def _assert_protected(self, call):
        self.calls.add(call)
        assert trio.lowlevel.currently_ki_protected(), f"an interrupt during {call} would leave the driver half way"

    def interfaces(self):
        self._assert_protected("interfaces")
        return self._host.interfaces()

    def bind(self, address):
        self._assert_protected("bind")
        return self._host.bind(address)

    def bind_multicast(self, *arguments):
        self._assert_protected("bind_multicast")
        return self._host.bind_multicast(*arguments)

    def listen(self, address):
        self._assert_protected("listen")
        return self._host.listen(address)

    async def resolve(self, *arguments):
        self._assert_protected("resolve")
        return await self._host.resolve(*arguments)

    async def connect_stream(self, *arguments):
        self._assert_protected("connect_stream")
        return await self._host.connect_stream(*arguments)

    async def wait_interfaces_changed(self):
        self._assert_protected("wait_interfaces_changed")
        await self._host.wait_interfaces_changed()


async def test_no_call_of_a_background_task_can_be_interrupted(autojump_clock):
    network = Network(seed=3, link=Link(delay=0.01))
    alice, bob = network.host("alice", "192.0.2.1"), network.host("bob", "192.0.2.2")
    ours = ProtectedNetwork(alice)
    config = Configuration(
        ice=ice.Configuration(tcp=True),
        ice_servers=["turn:user:password@192.0.2.2?transport=tcp", "stun:bob"],
        mdns="hide",
    )
    async with (
        open_peer_connection(config, network=ours) as left,
        open_peer_connection(config, network=bob) as right,
    ):
        right.set_remote_description(left.set_local_description())
        left.set_remote_description(right.set_local_description())
        await left.wait_connected()
        alice.add_ip_address("192.0.2.7")
        await trio.sleep(10)
    everything = {"interfaces", "bind", "bind_multicast", "listen", "resolve", "connect_stream"}
    assert ours.calls == {*everything, "wait_interfaces_changed"}


async def test_a_shared_port_cannot_be_interrupted_while_it_follows_the_interfaces(autojump_clock):
    network = Network(seed=3, link=Link(delay=0.01))
    host = network.host("server", "192.0.2.1")

    class AfterTheStart(ProtectedNetwork):
        def _assert_protected(self, call):
            if has_started:
                super()._assert_protected(call)

    has_started = False
    ours = AfterTheStart(host)
    async with open_udp_mux(4000, network=ours) as mux:
        has_started = True
        await trio.sleep(1)
        host.add_ip_address("192.0.2.7")
        host.remove_ip_address("192.0.2.1")
        await trio.sleep(1)
        assert mux.addresses == [("192.0.2.7", 4000)]
    assert ours.calls == {"interfaces", "bind", "wait_interfaces_changed"}
