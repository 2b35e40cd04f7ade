"""`public_addresses`: machines behind a 1:1 NAT that know what they are reached by, with and without a STUN server."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from tests.simulation.nats import KINDS, STUN_SERVER, STUN_URL, TURN_URLS, Agents, surround
from tests.simulation.world import GOOD, SIDES, World, other_side
from xp2p_trio import ice, peer
from xp2p_trio.datachannel import ChannelParameters
from xp2p_trio.sansio import Address, Transport
from xp2p_trio.testing import NatBehaviour, Network, Peers, StunServer

ONE_TO_ONE = NatBehaviour(filtering="endpoint-independent", ports="preserving")
INSIDE, PUBLIC = "10.0.0.2", "203.0.113.2"
MAPPING = {INSIDE: PUBLIC}


def cloud(name: str, kind: str, behaviour: NatBehaviour = ONE_TO_ONE) -> Network:
    """The named one is in a cloud, the other one behind what it has at home."""
    network = Network(link=GOOD, keep_trace=True)
    surround(network, other_side(name), KINDS[kind], "203.0.113.1")
    network.host(name, INSIDE)
    network.nat("cloud", PUBLIC, behaviour=behaviour, inside=[name])
    network.host("stun", STUN_SERVER[0])
    network.host("turn", "198.51.100.2")
    return network


def agents_on(network: Network, name: str, **fields: Any) -> Agents:
    return Agents(network, sides={name: {"public_addresses": MAPPING}}, **fields)


def told(agents: Agents, name: str) -> list[tuple[str, Address, Address | None]]:
    """The candidates that the peer was told, with what is behind them."""
    found = [event.candidate for event in agents.events[name] if isinstance(event, ice.CandidateFound)]
    return [(candidate.type.value, candidate.address, candidate.related_address) for candidate in found]


@pytest.mark.parametrize("urls", [(), (STUN_URL,)], ids=["without STUN", "with STUN"])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "blocked"])
@pytest.mark.parametrize("name", SIDES)
def test_it_is_reached_from_anywhere(name: str, kind: str, urls: tuple[str, ...]) -> None:
    agents = agents_on(cloud(name, kind), name, urls=urls)
    assert agents.connects()
    assert agents.now < 5.0
    assert agents.are_on_one_pair()
    base: Address = (INSIDE, 49152)
    assert told(agents, name) == [("host", base, None), ("srflx", (PUBLIC, 49152), base)]
    pair = agents.agents[other_side(name)].selected_pair
    assert pair is not None
    assert pair.remote.address == (PUBLIC, 49152)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "blocked"])
def test_without_it_a_stun_server_is_needed(kind: str) -> None:
    """What makes the difference: the same network, and nobody who tells the public address."""
    connects = [Agents(cloud("bob", kind), urls=urls).connects() for urls in ((), (STUN_URL,))]
    assert connects == [kind == "open", True]


def test_a_nat_that_has_other_ports_is_seen_by_a_server_as_well() -> None:
    network = cloud("bob", "port-restricted", attrs.evolve(ONE_TO_ONE, ports="random"))
    agents = agents_on(network, "bob")
    assert agents.connects()
    kinds = [kind for kind, _, _ in told(agents, "bob")]
    assert kinds == ["host", "srflx", "srflx"]
    priorities = [candidate.priority for candidate in agents.agents["bob"].local_candidates]
    assert len(set(priorities)) == len(priorities)


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
def test_relays_only_tells_none_of_both(transport: Transport) -> None:
    agents = agents_on(cloud("bob", "open"), "bob", urls=(TURN_URLS[transport],), relay_only=["bob"])
    assert agents.connects()
    said = str(told(agents, "bob"))
    assert INSIDE not in said
    assert PUBLIC not in said


def test_a_hidden_machine_tells_its_public_address_alone() -> None:
    agents = agents_on(cloud("bob", "port-restricted"), "bob", mdns="hide")
    assert agents.connects()
    said = told(agents, "bob")
    assert said[1] == ("srflx", (PUBLIC, 49152), ("0.0.0.0", 9))
    assert said[0][1][0].endswith(".local")
    assert INSIDE not in str(said)


def test_each_address_has_its_own() -> None:
    network = Network(link=GOOD)
    network.host("alice", "192.0.2.1", "2001:db8::1")
    network.host("bob", "10.0.0.2", "10.0.0.3", "fd00::2")
    network.host("stun", STUN_SERVER[0])
    mapping = {"10.0.0.3": "203.0.113.3", "FD00:0::2": "2001:DB8::2"}
    agents = Agents(network, urls=(), enable_ipv6=True, sides={"bob": {"public_addresses": mapping}})
    agents.run(0.01)
    hosts = {(kind, address[0], base[0] if base else None) for kind, address, base in told(agents, "bob")}
    assert hosts == {
        ("host", "10.0.0.2", None),
        ("host", "10.0.0.3", None),
        ("host", "fd00::2", None),
        ("srflx", "203.0.113.3", "10.0.0.3"),
        ("srflx", "2001:db8::2", "fd00::2"),
    }


def test_a_machine_that_gets_another_address_is_reached_by_what_belongs_to_that() -> None:
    network = cloud("bob", "port-restricted")
    agents = Agents(network, urls=(), sides={"bob": {"public_addresses": {**MAPPING, "10.0.0.9": PUBLIC}}})
    assert agents.connects()
    host = network.host("bob")
    host.add_ip_address("10.0.0.9")
    host.remove_ip_address(INSIDE)
    agents.answers["bob"].look(agents.now)
    agents.restart()
    agents.run(5.0)
    assert agents.echoes()
    assert told(agents, "bob")[-1][2] == ("10.0.0.9", 49153)


@pytest.mark.parametrize("name", SIDES)
def test_a_whole_connection_without_any_server(name: str) -> None:
    network = cloud(name, "port-restricted")
    configurations = {
        name: peer.Configuration(ice=ice.Configuration(public_addresses=MAPPING)),
        other_side(name): peer.Configuration(),
    }
    peers = Peers(
        network=network, alice=configurations["alice"], bob=configurations["bob"], servers={"stun": StunServer()}
    )
    world = World(peers=peers)
    label = world.open("alice", ChannelParameters())
    peers.connect(timeout=5.0)
    for side in SIDES:
        world.send(side, label, 20_000, is_text=False)
    world.settle()
