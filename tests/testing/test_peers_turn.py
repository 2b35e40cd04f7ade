"""`Peers` and the TURN server among its servers."""

from __future__ import annotations

import math
from typing import Any

import pytest

from xp2p_trio import turn
from xp2p_trio.sansio import Address, Burst, Transport
from xp2p_trio.testing.link import Link
from xp2p_trio.testing.network import Network
from xp2p_trio.testing.peers import Peers
from xp2p_trio.testing.turn_configuration import TurnServerConfiguration
from xp2p_trio.testing.turn_server import TurnServer

SERVER = ("192.0.2.7", 3478)


class StreamClient:
    """An allocation over a stream of the network, which was connected before."""

    def __init__(self, network: Network, local: Address, transport: Transport) -> None:
        self.allocation = turn.Allocation(
            SERVER,
            local,
            turn.Credentials("user", "password"),
            random_bytes=network.random_bytes("client"),
            configuration=turn.Configuration(transport=transport),
        )
        self.framer = turn.StreamFramer()
        self.noise: list[Burst] = []

    def receive(self, batch: Burst, now: float) -> None:
        for chunk in batch.datagrams:
            frames = self.framer.decode_frames(chunk)
            self.allocation.receive(Burst(batch.local, batch.remote, frames, batch.transport), now)

    def handle_timeout(self, now: float) -> None:
        self.allocation.handle_timeout(now)

    def transmit(self, now: float, limit: int) -> list[Burst]:
        noise, self.noise = self.noise, []
        return noise or self.allocation.transmit(now, limit)

    def take_events(self) -> list[Any]:
        return []

    def next_timeout(self) -> float:
        return -math.inf if self.noise else self.allocation.next_timeout()


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.TLS])
@pytest.mark.parametrize("end", ["closed", "noise"])
def test_a_client_over_a_stream(transport: Transport, end: str) -> None:
    network = Network(seed=7, link=Link(delay=0.02))
    for name, ip in (("alice", "192.0.2.1"), ("bob", "192.0.2.2"), ("client", "192.0.2.3"), ("turn", SERVER[0])):
        network.host(name, ip)
    network.listen("turn", SERVER, transport=transport)
    local = network.connect("client", SERVER, 0.0, transport=transport)
    client = StreamClient(network, local, transport)
    server = TurnServer(TurnServerConfiguration(relay_hosts=[SERVER[0]]), network.random_bytes("turn"))
    peers = Peers(network=network, servers={"turn": server, "client": client})
    client.allocation.start(0.0)
    peers.run(lambda: client.allocation.state is turn.State.ALLOCATED)
    assert [one.path for one in server.allocations] == [(transport, SERVER, local)]
    if end == "closed":
        network.close_stream("client", local, SERVER, peers.now)
    else:
        client.noise = [Burst(local, SERVER, [b"\xff" * 4], transport)]
    peers.run(lambda: not server.allocations, timeout=1.0)
    assert server.stream_count == 0
