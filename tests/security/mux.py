"""A server on one port with three clients that echo, and everybody who is not one of them."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from random import Random
from typing import Any

import trio

from xp2p_trio import PeerConnection, accept_direct, open_direct_connection, serve_peers, stun
from xp2p_trio.driver import DataChannel, PeerServer
from xp2p_trio.sansio import Address, Burst
from xp2p_trio.testing import Link, Network

SERVER: Address = ("192.0.2.1", 4000)
MALLORY: Address = ("203.0.113.66", 666)
CONNECTIONS = 3


async def echo(connection: PeerConnection) -> None:
    async for channel in connection.incoming_channels:
        async for message in channel:
            await channel.send(message)


class Recorder:
    """A monitor that keeps the first datagrams of a network, to make others of them."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []

    def sent(self, burst: Burst, now: float) -> None:
        if len(self.seen) < 500:
            self.seen += filter(None, burst.datagrams)

    def delivered(self, burst: Burst, now: float) -> None:
        pass


class Scene:
    """The server, its clients' channels and addresses, and a way to send in anybody's name."""

    def __init__(self, network: Network, server: PeerServer) -> None:
        self.network = network
        self.server = server
        self.clients: list[PeerConnection] = []
        self.channels: list[DataChannel] = []
        self.addresses: list[Address] = []
        self.seen: list[bytes] = []
        self._mallory = network.host("mallory", MALLORY[0]).bind(MALLORY)

    def send(self, *datagrams: bytes, source: Address = MALLORY) -> None:
        """As whoever can write any source address on a datagram; follow it by a sleep."""
        self.network.send(Burst(source, SERVER, datagrams), trio.current_time())
        self._mallory.transmit(Burst(MALLORY, ("192.0.2.1", 9), (b"so that the clock knows",)))

    def credentials(self, number: int) -> tuple[str, str]:
        """The whole USERNAME of a client's checks, and the password they are signed with."""
        agent = self.clients[number].ice_agent
        remote = self.clients[number].remote_description
        assert remote is not None
        fragment, password = (remote.sdp.partition(f"a=ice-{name}:")[2].split()[0] for name in ("ufrag", "pwd"))
        return f"{fragment}:{agent.local_username_fragment}", password

    async def assert_all_echo(self) -> None:
        for number, channel in enumerate(self.channels):
            await channel.send(f"alive {number}")
            with trio.fail_after(5):
                assert await channel.receive() == f"alive {number}"
        statistics = self.server.statistics
        assert statistics.lost == 0
        assert statistics.served >= CONNECTIONS


@asynccontextmanager
async def scene(seed: int, **options: Any) -> AsyncIterator[Scene]:
    recorder = Recorder()
    network = Network(seed=seed, link=Link(delay=0.001), monitors=[recorder])
    options.setdefault("on_unknown", accept_direct)
    async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
        server = await nursery.start(
            partial(serve_peers, echo, SERVER[1], network=network.host("server", SERVER[0]), **options)
        )
        it = Scene(network, server)
        for number in range(CONNECTIONS):
            host = network.host(f"client{number}", f"198.51.100.{number + 1}")
            client = await stack.enter_async_context(open_direct_connection(SERVER, server.fingerprint, network=host))
            it.clients.append(client)
            it.channels.append(client.create_data_channel("echo"))
        await it.assert_all_echo()
        for client in it.clients:
            pair = client.selected_pair.value
            assert pair is not None
            it.addresses.append(pair.local.address)
        it.seen += recorder.seen
        yield it
        await it.assert_all_echo()
        nursery.cancel_scope.cancel()


@contextmanager
def heap_limit(size: int) -> Iterator[None]:
    """The block may add this many bytes to the Python heap."""
    gc.collect()
    tracemalloc.start()
    try:
        yield
        gc.collect()
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown < size, f"{grown} bytes"


def mutate(random: Random, datagram: bytes) -> bytes:
    """A datagram that nearly is one of the protocol's own."""
    mutated = bytearray(datagram)
    for _ in range(random.randrange(1, 4)):
        match random.randrange(4):
            case 0:
                mutated[random.randrange(len(mutated))] ^= 1 << random.randrange(8)
            case 1:
                del mutated[random.randrange(1, len(mutated) + 1) :]
            case 2:
                mutated += random.randbytes(random.randrange(40))
            case _:
                start = random.randrange(len(mutated))
                mutated[start : start + 2] = random.choice([b"\x00\x00", b"\xff\xff", b"\x00\x01"])
    return bytes(mutated)


def request(username: str, password: str, transaction_id: bytes, *, use_candidate: bool = False) -> bytes:
    """A check as a client of the server sends it."""
    attributes: list[stun.Attribute] = [stun.Username(username), stun.Priority(1), stun.IceControlling(1 << 62)]
    if use_candidate:
        attributes.append(stun.UseCandidate())
    message = stun.Message(stun.MessageClass.REQUEST, stun.Method.BINDING, transaction_id, tuple(attributes))
    return stun.encode_message(message, key=password.encode(), fingerprint=True)
