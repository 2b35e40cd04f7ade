"""Two whole peer connections under simulated time, with everything around them that a driver and signaling would do."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping
from typing import Any, final

from xp2p_trio import peer
from xp2p_trio.errors import SdpError
from xp2p_trio.sansio import Address
from xp2p_trio.testing.answers import Answers, tell_of_stream
from xp2p_trio.testing.drive import BurstLayer, drive
from xp2p_trio.testing.link import Link
from xp2p_trio.testing.monitors import AmplificationSpy, ConsentSpy, NonceSpy
from xp2p_trio.testing.network import Network
from xp2p_trio.testing.streams import StreamNews
from xp2p_trio.testing.turn_allocations import StreamDropped
from xp2p_trio.testing.turn_server import TurnServer


def network_of_two(*, seed: int, link: Link | None, back: Link | None) -> Network:
    """The hosts "alice" and "bob", with an IPv4 and an IPv6 address each, both watched by the monitors."""
    network = Network(seed=seed, link=link)
    network.host("alice", "192.0.2.1", "2001:db8::1")
    network.host("bob", "192.0.2.2", "2001:db8::2")
    _watch(network)
    if back is not None:
        network.set_link("bob", "alice", back)
    return network


def _watch(network: Network, turn_servers: Collection[Address] = (), lite: Collection[str] = ()) -> None:
    watched = {*network.host("alice").ip_addresses, *network.host("bob").ip_addresses}
    # What the servers pass on is for the consent of the peers as well.
    lite_hosts = {ip_address for name in lite for ip_address in network.host(name).ip_addresses}
    relaying = {host for host, _ in turn_servers}
    network.add_monitor(ConsentSpy(watched | relaying, servers=turn_servers, lite=lite_hosts))
    network.add_monitor(AmplificationSpy(watched))
    network.add_monitor(NonceSpy(watched))


def _turn_servers(network: Network, *configurations: peer.Configuration | None) -> set[Address]:
    servers = [server for each in configurations if each is not None for server in each.ice_servers if server.is_turn]
    return {(host, server.port) for server in servers for host in network.resolve(server.host)}


@final
class Peers:
    """`alice`, who offers, and `bob`, who answers, each a `peer.Connection` on the host of its name.

    Sockets, servers' addresses, descriptions and candidates are there as soon as they are asked for. Every datagram is
    watched by a `ConsentSpy`, an `AmplificationSpy` and a `NonceSpy`.

    Args:
        link: from alice to bob.
        back: from bob to alice; None is like `link`.
        seed: of the network and of both peers' random bytes.
        alice: configuration of the one.
        bob: configuration of the other.
        now: virtual time of the start.
        network: a network with the hosts "alice" and "bob", in place of `link`, `back` and `seed`.
        servers: what else is driven along, by the name of its host on that network.

    Attributes:
        alice: the connection that offers.
        bob: the connection that answers.
        network: with the hosts "alice" and "bob"; links can be changed at any time.
        now: virtual time, in seconds; the start of the next `run`.
        events: all events of each so far, by the name of its host.
        answers: what stands for the driver of each, by the name of its host.
    """

    def __init__(
        self,
        *,
        link: Link | None = None,
        back: Link | None = None,
        seed: int = 0,
        alice: peer.Configuration | None = None,
        bob: peer.Configuration | None = None,
        now: float = 0.0,
        network: Network | None = None,
        servers: Mapping[str, BurstLayer] | None = None,
    ) -> None:
        if network is None:
            network = network_of_two(seed=seed, link=link, back=back)
        else:
            lite = [name for name, each in (("alice", alice), ("bob", bob)) if each is not None and each.ice.lite]
            _watch(network, _turn_servers(network, alice, bob), lite)
        self.network = network
        self.now = now
        self.alice = peer.Connection(alice, random_bytes=self.network.random_bytes("alice"))
        self.bob = peer.Connection(bob, random_bytes=self.network.random_bytes("bob"))
        self.events: dict[str, list[peer.Event]] = {"alice": [], "bob": []}
        self._connections = {"alice": self.alice, "bob": self.bob}
        self._layers: dict[str, BurstLayer] = {**self._connections, **(servers or {})}
        names: dict[str, str] = {}
        self.answers = {
            name: Answers(network, name, connection, connection.configuration, names=names)
            for name, connection in self._connections.items()
        }

    def negotiate(self) -> None:
        """Exchange offer and answer; candidates follow in `run`."""
        self.bob.set_remote_description(self.alice.set_local_description(None, self.now), self.now)
        self.alice.set_remote_description(self.bob.set_local_description(None, self.now), self.now)

    def connect(self, *, timeout: float = 60.0) -> None:
        """`negotiate`, and run until both are connected.

        Raises:
            VirtualTimeout: they were not connected in time.
        """
        self.negotiate()
        connected = peer.ConnectionState.CONNECTED
        self.run(lambda: self.alice.state is connected and self.bob.state is connected, timeout=timeout)

    def run(self, until: Callable[[], bool] | None = None, *, timeout: float = 60.0) -> float:
        """`drive` the two on from `now`, and move that; without `until` for all of `timeout`."""
        self.now = drive(
            self.network,
            self._layers,
            until=until,
            now=self.now,
            timeout=timeout,
            on_events=self._on_events,
            on_stream_news=self._on_stream_news,
        )
        return self.now

    def _on_events(self, name: str, events: list[Any], now: float) -> None:
        if name not in self._connections:
            for event in events:
                if isinstance(event, StreamDropped):
                    self.network.close_stream(name, event.local, event.remote, now)
            return
        self.events[name] += events
        other = self.bob if name == "alice" else self.alice
        for event in events:
            match event:
                case peer.LocalCandidateFound(candidate):
                    with contextlib.suppress(SdpError):  # of an offer that was never told
                        other.add_ice_candidate(candidate, now)
                case peer.GatheringStateChanged(peer.GatheringState.COMPLETE):
                    other.add_ice_candidate(None, now)
                case _:
                    self.answers[name].answer(event, now)

    def _on_stream_news(self, news: StreamNews, now: float) -> None:
        core = self._layers.get(news.host)
        if isinstance(core, peer.Connection | TurnServer):
            tell_of_stream(core, news, now)


def connect_peers(
    *,
    link: Link | None = None,
    back: Link | None = None,
    seed: int = 0,
    alice: peer.Configuration | None = None,
    bob: peer.Configuration | None = None,
    timeout: float = 60.0,
) -> Peers:
    """Make `Peers` and connect them, for a test that begins where the connection is up.

    Raises:
        VirtualTimeout: they were not connected in time.
    """
    peers = Peers(link=link, back=back, seed=seed, alice=alice, bob=bob)
    peers.connect(timeout=timeout)
    return peers
