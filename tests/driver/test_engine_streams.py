"""The engine's streams over the simulated network, and a core that asks for them and writes down what it is told."""

import math
import os
import random
import socket
import sys
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from xp2p_trio.driver import SystemNetwork
from xp2p_trio.driver.engine import Engine
from xp2p_trio.driver.engine_streams import CONNECT_PATIENCE, MAX_ACCEPTED
from xp2p_trio.sansio import Burst, Transport
from xp2p_trio.testing import BLACK_HOLE, Link, Network
from xp2p_trio.testing.stream_sockets import KEEP_SIZE, WINDOW_SIZE

TCP, TLS, UDP = Transport.TCP, Transport.TLS, Transport.UDP
HERE, THERE = "192.0.2.1", "192.0.2.2"


class StreamUser:
    """Sends what is queued, and notes what it hears."""

    def __init__(self):
        self.heard = []
        self.received = bytearray()
        self.datagrams = []
        self.queued = []

    def receive(self, batch, now):
        if batch.transport is UDP:
            self.datagrams += batch.datagrams
            return
        self.heard.append(("bytes", batch.local, batch.remote, batch.transport))
        for chunk in batch.datagrams:
            self.received += chunk

    def handle_timeout(self, now):
        pass

    def transmit(self, now, limit):
        bursts, self.queued = self.queued, []
        return bursts

    def next_timeout(self):
        return math.inf

    def stream_opened(self, number, local, now):
        self.heard.append(("opened", number, local))

    def stream_failed(self, number, detail, now):
        self.heard.append(("failed", number, detail))

    def stream_accepted(self, local, remote, now, transport):
        self.heard.append(("accepted", local, remote))

    def stream_closed(self, local, remote, now, transport):
        self.heard.append(("closed", local, remote, transport))


class SlowListener:
    """Gives a stream that has come even after it was closed, as may happen in one turn of the scheduler."""

    def __init__(self, listener):
        self._listener = listener
        self.address, self.close = listener.address, listener.close

    async def accept(self):
        stream = await self._listener.accept()
        await trio.sleep(0.01)
        return stream


class KeptHost:
    """A host whose sockets the test can hold, and whose streams it can make hard to cancel."""

    def __init__(self, host):
        self._host = host
        self.sockets = []
        self.is_stubborn = False

    async def connect_stream(self, *arguments):
        with trio.CancelScope(shield=self.is_stubborn):
            return await self._host.connect_stream(*arguments)

    def listen(self, address):
        return SlowListener(self._host.listen(address))

    def bind(self, address):
        self.sockets.append(self._host.bind(address))
        return self.sockets[-1]

    def __getattr__(self, name):
        return getattr(self._host, name)


class Rig:
    """An engine on host "here" whose core uses streams, and the host "there" beside it."""

    def __init__(self):
        self.network = Network(link=Link(delay=0.1))
        self.here, self.there = KeptHost(self.network.host("here", HERE)), self.network.host("there", THERE)
        self.core = StreamUser()
        self.engine = Engine(self.core, self.here, self._publish, stream_core=self.core)
        self.is_over = False

    def _publish(self):
        return self.is_over

    def send(self, *frames, local, remote, transport=TCP):
        self.core.queued.append(Burst(local, remote, frames, transport))
        self.engine.flush()

    async def open(self, transport=TCP):
        """Connect to the other host. Returns its end, and the name of ours."""
        listener = self.there.listen((THERE, 0), transport=transport)
        self.engine.connect_stream(1, None, listener.address, transport, "there")
        theirs = await listener.accept()
        await trio.sleep(1)
        listener.close()
        assert self.core.heard == [("opened", 1, theirs.remote)]
        self.core.heard.clear()
        return theirs, {"local": theirs.remote, "remote": theirs.local, "transport": transport}


@asynccontextmanager
async def running():
    rig = Rig()
    with trio.fail_after(1000):  # noqa: ASYNC100 - what `stop` does not end shows here
        async with trio.open_nursery() as nursery:
            rig.engine.start(nursery)
            try:
                yield rig
            finally:
                rig.engine.stop()


@pytest.mark.parametrize("transport", [TCP, TLS])
async def test_a_stream_is_opened_used_and_ended_by_the_peer(autojump_clock, transport):
    async with running() as rig:
        theirs, name = await rig.open(transport)
        rig.send(b"some", b"frames", **name)
        assert await theirs.receive() == b"someframes"
        theirs.transmit([b"an", b"answer"])
        await trio.sleep(1)
        assert rig.core.received == b"ananswer"
        theirs.close()
        await trio.sleep(1)
        assert rig.core.heard == [
            ("bytes", *name.values()),
            ("closed", *name.values()),
        ]
        rig.send(b"to nobody", **name)


async def test_what_arrives_makes_the_core_speak(autojump_clock):
    async with running() as rig:
        theirs, name = await rig.open()
        theirs.transmit([b"question"])
        rig.core.queued.append(Burst(name["local"], name["remote"], [b"answer"], TCP))
        assert await theirs.receive() == b"answer"


async def test_a_burst_for_no_stream_is_dropped(autojump_clock):
    async with running() as rig:
        theirs, name = await rig.open()
        rig.send(b"x", **name | {"transport": TLS})
        rig.send(b"x", **name | {"local": (HERE, 1)})
        rig.send(b"x", **name | {"remote": (THERE, 1)})
        rig.send(b"x", **name | {"transport": UDP})
        rig.send(b"y", **name)
        assert await theirs.receive() == b"y"


async def test_a_failure_is_told_with_its_reason(autojump_clock):
    async with running() as rig:
        rig.engine.connect_stream(7, HERE, (THERE, 9), TCP, "")
        await trio.sleep(1)
        ((word, number, detail),) = rig.core.heard
        assert (word, number) == ("failed", 7)
        assert "192.0.2.2 port 9: connection refused" in detail
        assert "Errno" not in detail


async def test_patience_has_an_end(autojump_clock):
    async with running() as rig:
        rig.network.set_links("here", "there", BLACK_HOLE)
        rig.engine.connect_stream(7, None, (THERE, 9), TLS, "")
        await trio.sleep(CONNECT_PATIENCE - 0.1)
        assert rig.core.heard == []
        await trio.sleep(0.2)
        ((word, number, detail),) = rig.core.heard
        assert (word, number) == ("failed", 7)
        assert detail == "no TLS connection to 192.0.2.2 port 9 within 10 s"


@pytest.mark.parametrize("is_stubborn", [False, True], ids=["early", "too late"])
async def test_a_request_can_be_withdrawn(autojump_clock, is_stubborn):
    async with running() as rig:
        rig.here.is_stubborn = is_stubborn
        listener = rig.there.listen((THERE, 0))
        rig.engine.connect_stream(1, None, listener.address, TCP, "")
        theirs = await listener.accept()
        rig.engine.withdraw_stream(1)
        rig.engine.withdraw_stream(2)
        assert await theirs.receive() == b""
        await trio.sleep(1)
        assert rig.core.heard == []
        listener.close()


async def test_a_request_can_be_withdrawn_before_anything_was_done(autojump_clock):
    async with running() as rig:
        listener = rig.there.listen((THERE, 0))
        rig.engine.connect_stream(1, None, listener.address, TCP, "")
        rig.engine.withdraw_stream(1)
        await trio.sleep(1)
        assert rig.core.heard == []
        listener.close()


async def test_closing_a_stream_is_not_told_to_who_asked_for_it(autojump_clock):
    async with running() as rig:
        theirs, name = await rig.open()
        rig.send(b"last", **name)
        rig.engine.close_stream(**name)
        rig.engine.close_stream(**name)
        assert await theirs.receive() == b"last"
        assert await theirs.receive() == b""
        assert rig.core.heard == []


async def test_peers_are_accepted_up_to_a_bound(autojump_clock):
    async with running() as rig:
        address = rig.engine.listen((HERE, 0))
        assert address[0] == HERE
        theirs = [await rig.there.connect_stream(None, address, TCP, "") for _ in range(MAX_ACCEPTED + 1)]
        assert rig.core.heard == [("accepted", address, stream.local) for stream in theirs[:-1]]
        assert await theirs[-1].receive() == b""
        theirs[0].close()
        await trio.sleep(1)
        theirs[1].transmit([b"hello"])
        await trio.sleep(1)
        assert rig.core.heard[-2:] == [
            ("closed", address, theirs[0].local, TCP),
            ("bytes", address, theirs[1].local, TCP),
        ]
        rig.send(b"welcome", local=address, remote=theirs[1].local)
        assert await theirs[1].receive() == b"welcome"
        rig.core.heard.clear()
        late = await rig.there.connect_stream(None, address, TCP, "")
        assert rig.core.heard == [("accepted", address, late.local)]


async def test_a_listener_can_be_closed(autojump_clock):
    async with running() as rig:
        address = rig.engine.listen((HERE, 0))
        with pytest.raises(OSError, match="in use"):
            rig.engine.listen(address)
        theirs = await rig.there.connect_stream(None, address, TCP, "")
        rig.engine.close_socket(address, TCP)
        rig.engine.close_socket(address, TCP)
        with pytest.raises(ConnectionRefusedError):
            await rig.there.connect_stream(None, address, TCP, "")
        rig.send(b"goes on", local=address, remote=theirs.local)
        assert await theirs.receive() == b"goes on"


async def test_what_is_accepted_by_a_closed_listener_is_closed(autojump_clock):
    async with running() as rig:
        address = rig.engine.listen((HERE, 0))
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def _():
                theirs = await rig.there.connect_stream(None, address, TCP, "")
                assert await theirs.receive() == b""

            await trio.sleep(0.105)  # it has arrived
            rig.engine.close_socket(address, TCP)
        assert rig.core.heard == []


async def test_an_address_that_goes(autojump_clock):
    async with running() as rig:
        theirs, name = await rig.open()
        rig.here.remove_ip_address(HERE)
        await trio.sleep(1)
        assert rig.core.heard == [("closed", *name.values())]
        theirs.close()


async def test_a_socket_can_be_closed_even_while_it_is_blocked(autojump_clock):
    async with running() as rig:
        address = rig.engine.bind((HERE, 0))
        rig.here.sockets[-1].hold()
        there = rig.there.bind((THERE, 0))
        rig.send(*[b"x"] * 64, local=address, remote=there.address, transport=UDP)
        rig.engine.close_socket(address, UDP)
        rig.engine.close_socket(address, UDP)
        assert rig.engine.bind(address) == address
        rig.send(b"y", local=address, remote=there.address, transport=UDP)
        assert [burst.datagrams for burst in await there.receive()] == [[b"y"]]
        there.close()


async def test_frames_that_find_no_room_are_dropped_whole_and_counted(autojump_clock):
    async with running() as rig:
        theirs, name = await rig.open()
        frames = [bytes([number % 256]) * 1000 for number in range(1000)]
        rig.send(*frames, **name)
        taken = -(-WINDOW_SIZE // 1000) + KEEP_SIZE // 1000
        assert rig.engine.dropped_frames == 1000 - taken
        rig.send(b"too many" * 200, **name)
        assert rig.engine.dropped_frames == 1001 - taken
        received = bytearray()
        while len(received) < taken * 1000:  # what was kept leaves by itself
            received += await theirs.receive()
        assert received == b"".join(frames[:taken])
        rig.send(b"again", **name)
        assert await theirs.receive() == b"again"


async def test_a_blocked_stream_holds_nothing_else_up(autojump_clock):
    async with running() as rig:
        _, name = await rig.open()
        rig.send(*[bytes(1000)] * 1000, **name)
        address = rig.engine.bind((HERE, 0))
        there = rig.there.bind((THERE, 0))
        rig.send(b"datagram", local=address, remote=there.address, transport=UDP)
        assert [burst.datagrams for burst in await there.receive()] == [[b"datagram"]]
        there.transmit(Burst(there.address, address, [b"back"]))
        await trio.sleep(1)
        assert rig.core.datagrams == [b"back"]
        rig.engine.close_stream(**name)
        there.close()


async def test_stopping_ends_everything(autojump_clock):
    async with running() as rig:
        theirs, _ = await rig.open()
        address = rig.engine.listen((HERE, 0))
        accepted = await rig.there.connect_stream(None, address, TCP, "")
        listener = rig.there.listen((THERE, 0))
        rig.engine.connect_stream(2, None, listener.address, TCP, "")
        await trio.sleep(0.01)
        rig.is_over = True
        rig.engine.flush()
        assert await theirs.receive() == await accepted.receive() == b""
        assert await (await listener.accept()).receive() == b""
        with pytest.raises(ConnectionRefusedError):
            await rig.there.connect_stream(None, address, TCP, "")
        listener.close()
    assert ("opened", 2) not in [heard[:2] for heard in rig.core.heard]


async def test_two_engines_over_the_kernel():
    network = SystemNetwork()
    left, right = StreamUser(), StreamUser()
    lot = trio.lowlevel.ParkingLot()

    def publish():
        lot.unpark_all()
        return False

    async def until(condition):
        while not condition():
            await lot.park()

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            engines = [Engine(core, network, publish, stream_core=core) for core in (left, right)]
            for engine in engines:
                engine.start(nursery)
            address = engines[0].listen(("127.0.0.1", 0))
            engines[1].connect_stream(1, "127.0.0.1", address, TCP, "")
            await until(lambda: left.heard and right.heard)
            ((_, _, local),) = right.heard
            assert left.heard == [("accepted", address, local)]
            right.queued.append(Burst(local, address, [b"frame"] * 100_000, TCP))
            engines[1].flush()
            taken = 100_000 - engines[1].dropped_frames
            await until(lambda: len(left.received) >= taken * 5)
            assert left.received == b"frame" * taken
            engines[1].close_stream(local, address, TCP)
            await until(lambda: left.heard[-1][0] == "closed")
            for engine in engines:
                engine.stop()


def connect_from(port, address):
    """A stream of the standard library from a chosen port, which ends by a reset."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.bind(("127.0.0.1", port))
    client.connect(address)
    return client


def open_files():
    return set(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(sys.platform != "linux", reason="no /proc")
async def test_a_peer_that_resets_and_comes_back_from_the_same_port_leaves_nothing_open():
    core = StreamUser()
    before = open_files()
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            engine = Engine(core, SystemNetwork(), lambda: False, stream_core=core)
            engine.start(nursery)
            address = engine.listen(("127.0.0.1", 0))
            await trio.testing.wait_all_tasks_blocked(0.01)
            client = connect_from(0, address)
            name = client.getsockname()
            for _ in range(30):
                await trio.testing.wait_all_tasks_blocked(0.01)
                client.close()
                client = connect_from(name[1], address)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert [heard[0] for heard in core.heard] == ["accepted"] + ["closed", "accepted"] * 30
            core.queued.append(Burst(address, name, [b"to the last"], TCP))
            engine.flush()
            assert client.recv(100) == b"to the last"
            assert len(open_files()) == len(before) + 3  # ours, the listener, and the client's
            engine.stop()
            client.close()
    assert open_files() == before


@pytest.mark.parametrize("seed", range(15))
async def test_a_stop_in_the_midst_of_news(seed):
    """Streams bring data, end, come and are wished for, all in the turn in which the engine is stopped."""
    chance = random.Random(seed)
    core, before = StreamUser(), open_files()
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            engine = Engine(core, SystemNetwork(), lambda: is_over, stream_core=core)
            is_over = False
            engine.start(nursery)
            address = engine.listen(("127.0.0.1", 0))
            clients = [socket.create_connection(address) for _ in range(MAX_ACCEPTED)]
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert [heard[0] for heard in core.heard] == ["accepted"] * MAX_ACCEPTED
            for client in clients[: chance.randrange(MAX_ACCEPTED)]:
                client.send(b"news")
            for client in clients[chance.randrange(MAX_ACCEPTED) :]:
                client.close()
            clients += [socket.create_connection(address) for _ in range(chance.randrange(5))]
            for number in range(4):
                engine.connect_stream(number, None, address, chance.choice([TCP, TLS]), "")
            for _ in range(chance.randrange(4)):
                await trio.lowlevel.checkpoint()
            is_over = True
            core.heard.clear()
            if chance.random() < 0.5:
                engine.flush()
            else:
                engine.stop()
            await trio.testing.wait_all_tasks_blocked(0.01)
            for client in clients:
                client.close()
            assert len(core.heard) <= 1 + len(clients)  # what was read already
            assert "opened" not in [heard[0] for heard in core.heard[1:]]
    assert open_files() == before
