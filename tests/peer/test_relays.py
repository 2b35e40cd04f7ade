"""Whole connections by way of TURN servers: their life, their end, and what they say when it does not work."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.simulation.world import SIDES, World, other_side
from xp2p_trio import ice, peer, stun
from xp2p_trio.datachannel import ChannelParameters
from xp2p_trio.errors import Reason
from xp2p_trio.peer import ConnectionState
from xp2p_trio.sansio import Closed, Failed, Transport
from xp2p_trio.testing import BLACK_HOLE, Link, Network, Peers, TurnServer, TurnServerConfiguration

TRANSPORTS = list(Transport)
STREAMS = [Transport.TCP, Transport.TLS]
ADDRESSES = {"turn": "198.51.100.2", "other": "198.51.100.3"}


def url(host: str, transport: Transport, password: str = "password") -> str:
    scheme = "turns" if transport is Transport.TLS else "turn"
    carrier = "udp" if transport is Transport.UDP else "tcp"
    return f"{scheme}:user:{password}@{host}?transport={carrier}"


class Relayed:
    """A world of two that use nothing but TURN, with two servers."""

    def __init__(self, *urls: str, link: Link | None = None, bob: tuple[str, ...] | None = None) -> None:
        self.network = network = Network(seed=5, link=link or Link(delay=0.02))
        network.host("alice", "192.0.2.1")
        network.host("bob", "203.0.113.2")
        self.servers = {}
        for name, address in ADDRESSES.items():
            network.host(name, address)
            network.listen(name, (address, 3478))
            network.listen(name, (address, 5349), transport=Transport.TLS)
            configuration = TurnServerConfiguration(relay_hosts=[address])
            self.servers[name] = TurnServer(configuration, network.random_bytes(name))
        configurations = [
            peer.Configuration(ice_servers=servers, ice_transport_policy="relay") for servers in (urls, bob or urls)
        ]
        self.peers = Peers(network=network, alice=configurations[0], bob=configurations[1], servers=self.servers)
        self.world = World(peers=self.peers)
        self.label = self.world.open("alice", ChannelParameters())

    def connect(self) -> Relayed:
        self.peers.connect(timeout=15.0)
        self.world.run(0.5)
        return self

    def bulk(self, count: int = 20) -> None:
        """Something for each side to send."""
        for side in SIDES:
            for _ in range(count):
                self.world.send(side, self.label, 10_000, is_text=False)

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> None:
        if until is None:
            self.world.run(seconds)
        else:
            self.peers.run(until, timeout=seconds)

    def restart(self, side: str) -> None:
        """Offer and answer from this side on."""
        offerer, answerer = self.world.connection(side), self.world.connection(other_side(side))
        now = self.peers.now
        offerer.restart_ice(now)
        answerer.set_remote_description(offerer.set_local_description(None, now), now)
        offerer.set_remote_description(answerer.set_local_description(None, now), now)

    def routes(self) -> set[str]:
        pairs = [self.world.connection(side).agent.selected_pair for side in SIDES]
        return {pair.route for pair in pairs if pair is not None}

    def settle(self) -> None:
        self.world.settle()
        assert [self.world.connection(side).state for side in SIDES] == [ConnectionState.CONNECTED] * 2


# --- life


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_connection_over_nothing_but_turn(transport: Transport) -> None:
    relayed = Relayed(url("turn", transport)).connect()
    assert relayed.routes() == {f"via TURN/{transport.value}"}
    relayed.bulk()
    relayed.settle()


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("is_busy", [True, False])
def test_half_an_hour(transport: Transport, *, is_busy: bool) -> None:
    relayed = Relayed(url("turn", transport)).connect()
    for _ in range(180):
        if is_busy:
            relayed.bulk(1)
        relayed.run(10.0)
        relayed.world.read_all()
    for side in SIDES:
        assert not any(isinstance(event, ice.PathLost) for event in relayed.peers.events[side])
    relayed.bulk(1)
    relayed.settle()


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("side", SIDES)
def test_restarts_amid_a_transfer_go_on_with_the_same_allocation(side: str, transport: Transport) -> None:
    relayed = Relayed(url("turn", transport)).connect()
    for _ in range(3):
        relayed.bulk()
        relayed.run(0.05)
        relayed.restart(side)
        relayed.run(0.1)
        relayed.bulk()
        relayed.run(3.0)
    relayed.settle()
    assert relayed.servers["turn"].requests_received[stun.Method.ALLOCATE] == 4


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_server_that_dies_amid_a_transfer_costs_no_message(transport: Transport) -> None:
    relayed = Relayed(url("turn", transport), url("other", transport)).connect()
    relayed.run(3.0)
    relayed.bulk()
    relayed.run(0.1)
    relayed.servers["turn"].faults.is_silent = True
    for side in SIDES:
        relayed.network.set_links(side, "turn", BLACK_HOLE)
    relayed.run(25.0)
    relayed.bulk()
    relayed.settle()


@pytest.mark.parametrize("transport", STREAMS)
def test_streams_that_are_cut_amid_a_transfer_cost_no_message(transport: Transport) -> None:
    relayed = Relayed(url("turn", transport)).connect()
    relayed.bulk()
    relayed.run(0.1)
    for allocation in relayed.servers["turn"].allocations:
        path = allocation.path
        relayed.network.close_stream("turn", path.server, path.client, relayed.peers.now)
        relayed.servers["turn"].stream_closed(path.server, path.client, relayed.peers.now, path.transport)
    relayed.run(5.0)
    relayed.bulk()
    relayed.settle()


def test_a_server_that_was_started_anew_costs_no_message() -> None:
    relayed = Relayed(url("turn", Transport.UDP)).connect()
    for _ in range(2):
        relayed.servers["turn"].faults.forgets = True
        relayed.restart("alice")
        relayed.bulk()
        relayed.run(5.0)
    relayed.settle()


# --- the end


def end(relayed: Relayed, how: str) -> float:
    """Let Alice go. Returns how long that takes."""
    relayed.world.read_all()
    began = relayed.peers.now
    getattr(relayed.peers.alice, how)(began)
    relayed.run(10.0, lambda: relayed.peers.alice.is_over)
    return relayed.peers.now - began


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("how", ["close", "abort"])
def test_the_allocation_is_deleted_before_the_last_word(how: str, transport: Transport) -> None:
    relayed = Relayed(url("turn", transport)).connect()
    assert end(relayed, how) < 1.0
    assert [one.path.client[0] for one in relayed.servers["turn"].allocations] == ["203.0.113.2"]
    assert relayed.servers["turn"].requests_received[stun.Method.REFRESH] == 1
    assert relayed.peers.events["alice"][-1] == Closed()
    relayed.run(3.0, lambda: relayed.peers.bob.is_over)  # which was told
    relayed.run(0.1)
    assert relayed.peers.events["bob"][-1] == Closed(by_peer=True)
    assert relayed.servers["turn"].allocations == []
    assert relayed.servers["turn"].stream_count == 0


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("how", ["close", "abort"])
def test_a_dead_server_delays_the_end_by_a_second(how: str, transport: Transport) -> None:
    alone = end(Relayed(url("turn", transport)).connect(), how)
    relayed = Relayed(url("turn", transport), url("other", transport)).connect()
    relayed.run(2.0)
    relayed.servers["other"].faults.is_silent = True
    assert end(relayed, how) <= alone + 1.0


@pytest.mark.parametrize("transport", STREAMS)
def test_a_stream_that_is_still_connecting_is_withdrawn(transport: Transport) -> None:
    relayed = Relayed(url("turn", transport), url("other", Transport.UDP))
    answer = relayed.peers.answers["alice"].answer

    def hesitate(event: object, now: float) -> None:
        if not isinstance(event, ice.StreamRequested):
            answer(event, now)

    relayed.peers.answers["alice"].answer = hesitate  # type: ignore[method-assign]
    relayed.connect()
    end(relayed, "abort")
    numbers = [event.number for event in relayed.peers.events["alice"] if isinstance(event, ice.StreamRequestWithdrawn)]
    assert numbers == [1]


# --- words


def failure(relayed: Relayed) -> str:
    relayed.peers.negotiate()
    relayed.run(60.0, lambda: relayed.peers.alice.is_over)
    last = relayed.peers.events["alice"][-1]
    assert isinstance(last, Failed)
    assert (last.failure.layer, last.failure.reason) == ("ice", Reason.NO_PATH)
    return last.failure.detail


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_wrong_credentials(transport: Transport) -> None:
    relayed = Relayed(url("turn", transport, "sesame"), bob=(url("other", transport),))
    words = failure(relayed)
    name = peer.parse_ice_server(url("turn", transport)).url
    assert f"Wrong TURN credentials for the realm 'xp2p.test' at {name} (401)" in words
    assert "sesame" not in words
    (failed,) = [event for event in relayed.peers.events["alice"] if isinstance(event, ice.ServerFailed)]
    assert (failed.name, failed.code, failed.realm) == (name, 401, "xp2p.test")
    assert relayed.servers["turn"].requests_received == {stun.Method.ALLOCATE: 2}


def test_a_name_that_does_not_resolve() -> None:
    words = failure(Relayed(url("nowhere.example", Transport.UDP), bob=(url("other", Transport.UDP),)))
    assert "turn:nowhere.example:3478 was not asked: no host 'nowhere.example' on the simulated network" in words


@pytest.mark.parametrize("is_busy", [True, False])
def test_a_path_that_is_lost_names_the_server(*, is_busy: bool) -> None:
    relayed = Relayed(url("turn", Transport.UDP)).connect()
    if is_busy:  # what waits to be sent is not sent while the allocation is being deleted
        relayed.bulk(200)
        relayed.run(0.1)
    relayed.servers["turn"].faults.is_silent = True
    relayed.run(40.0, lambda: relayed.peers.alice.is_over)
    last = relayed.peers.events["alice"][-1]
    assert isinstance(last, Failed)
    assert last.failure.reason is Reason.CONSENT_EXPIRED
    assert "by way of turn:turn:3478" in last.failure.detail
