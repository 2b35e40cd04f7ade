"""Clients of a TURN server, and peers, on a simulated network."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

from xp2p_trio import turn
from xp2p_trio.sansio import Address, Burst
from xp2p_trio.testing.link import Link
from xp2p_trio.testing.network import Network
from xp2p_trio.testing.turn_configuration import TurnServerConfiguration
from xp2p_trio.testing.turn_server import TurnServer

SERVER = ("192.0.2.7", 3478)
OTHER_SERVER = ("192.0.2.8", 3478)
CLIENT = ("192.0.2.1", 50000)
PEER = ("203.0.113.5", 6000)
OTHER_PEER = ("203.0.113.6", 6000)
CREDENTIALS = turn.Credentials("user", "password")


def server_configuration(**choices: Any) -> TurnServerConfiguration:
    choices.setdefault("relay_hosts", [SERVER[0], "2001:db8::7"])
    return TurnServerConfiguration(**choices)


def allocation(
    *,
    server: Address = SERVER,
    local: Address = CLIENT,
    credentials: turn.Credentials = CREDENTIALS,
    seed: int = 0,
    **choices: Any,
) -> turn.Allocation:
    return turn.Allocation(
        server,
        local,
        credentials,
        random_bytes=Network(seed=seed).random_bytes("client"),
        configuration=turn.Configuration(**choices),
    )


class Peer:
    """A UDP program on a host of the network, which keeps what it gets."""

    def __init__(self) -> None:
        self.received: list[tuple[Address, Address, bytes]] = []
        self.outgoing: list[Burst] = []

    def say(self, local: Address, remote: Address, data: bytes) -> None:
        self.outgoing.append(Burst(local, remote, [data]))

    def receive(self, batch: Burst, now: float) -> None:
        self.received += [(batch.local, batch.remote, data) for data in batch.datagrams]

    def handle_timeout(self, now: float) -> None:
        pass

    def transmit(self, now: float, limit: int) -> list[Burst]:
        bursts, self.outgoing = self.outgoing[:limit], self.outgoing[limit:]
        return bursts

    def take_events(self) -> list[Any]:
        return []

    def next_timeout(self) -> float:
        return math.inf


class World:
    """One client, one server and a spare one, two peers; time moves when `run` is told so."""

    def __init__(
        self,
        client: turn.Allocation | None = None,
        *,
        link: Link | None = None,
        seed: int = 0,
        other: TurnServerConfiguration | None = None,
        **choices: Any,
    ) -> None:
        self.network = Network(seed=seed, link=Link(delay=0.01) if link is None else link)
        self.network.host("client", CLIENT[0])
        self.network.host("server", SERVER[0], "2001:db8::7")
        self.network.host("other", OTHER_SERVER[0])
        self.network.host("peer", PEER[0], OTHER_PEER[0], "2001:db8::5")
        self.client = allocation() if client is None else client
        self.server = TurnServer(server_configuration(**choices), self.network.random_bytes("server"))
        other = server_configuration(relay_hosts=[OTHER_SERVER[0]]) if other is None else other
        self.other = TurnServer(other, self.network.random_bytes("other"))
        self.peer = Peer()
        self.layers: dict[str, Any] = {
            "client": self.client,
            "server": self.server,
            "other": self.other,
            "peer": self.peer,
        }
        self.now = 0.0
        self.events: list[turn.Event] = []
        self.received: list[tuple[Address, bytes]] = []
        self.sent_at: defaultdict[str, list[float]] = defaultdict(list)

    def shuttle(self) -> bool:
        moved = False
        for name, layer in self.layers.items():
            for burst in layer.transmit(self.now, 64):
                if burst.transport.is_stream:
                    self.hand_over(burst)
                else:
                    self.network.send(burst, self.now)
                self.sent_at[name] += [self.now] * len(burst.datagrams)
                moved = True
        for burst in self.network.deliver(self.now):
            host = self.network.host_of(burst.local[0])
            if host is not None:
                self.layers[host.name].receive(burst, self.now)
                moved = True
        self.events += self.client.take_events()
        self.received += self.client.take_received()
        return moved

    def hand_over(self, burst: Burst) -> None:
        """A stream keeps its order and loses nothing."""
        host = self.network.host_of(burst.remote[0])
        assert host is not None
        layer = self.layers[host.name]
        if isinstance(layer, TurnServer) and not layer.stream_count:
            layer.stream_accepted(burst.remote, burst.local, self.now, burst.transport)
        layer.receive(burst.reversed(), self.now)

    def run(self, seconds: float) -> None:
        """Live on for so long."""
        deadline = self.now + seconds
        while True:
            while self.shuttle():
                pass
            soonest = min(self.network.next_timeout(), *(layer.next_timeout() for layer in self.layers.values()))
            if soonest > deadline:
                break
            self.now = max(self.now, soonest)
            for layer in self.layers.values():
                if layer.next_timeout() <= self.now:
                    layer.handle_timeout(self.now)
        self.now = deadline

    def leap(self, seconds: float) -> None:
        """Nobody runs for so long, as after a suspend; what is under way arrives after it."""
        self.now += seconds
        for layer in self.layers.values():
            layer.handle_timeout(self.now)

    def allocate(self) -> turn.Allocated:
        """Start, and wait for the allocation."""
        self.client.start(self.now)
        self.run(1.0)
        (allocated,) = self.of(turn.Allocated)
        assert isinstance(allocated, turn.Allocated)
        return allocated

    def permit(self, *hosts: str) -> None:
        """Wait for permissions."""
        self.client.create_permissions(hosts or (PEER[0],), self.now)
        self.run(1.0)

    def bind(self, peer: Address = PEER) -> None:
        """Wait for a channel."""
        self.client.bind_channel(peer, self.now)
        self.run(1.0)
        assert turn.ChannelBound(peer) in self.events

    def of(self, kind: type) -> list[Any]:
        """The events of this kind."""
        return [event for event in self.events if isinstance(event, kind)]
