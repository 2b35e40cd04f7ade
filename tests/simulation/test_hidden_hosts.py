"""Addresses behind mDNS names: the peer is told none of ours, whatever happens, and finds us by the names."""

from __future__ import annotations

import itertools
from typing import Any

import attrs
import pytest

from tests.simulation.nats import STUN_SERVER, STUN_URL, TURN_SERVER, TURN_URLS, Agents, surround, turn_server
from tests.simulation.world import GOOD, SIDES, World
from xp2p_trio import ice, peer, sdp
from xp2p_trio.datachannel import ChannelParameters
from xp2p_trio.errors import SdpError
from xp2p_trio.sansio import AddressFilter, Failed, Transport
from xp2p_trio.testing import FULL_CONE, SYMMETRIC, UDP_BLOCKED, FirewallPolicy, Network, Peers, Sent, StunServer

MODES = list(itertools.product(["hide", "resolve"], repeat=2))
HOSTS = {"alice": ("192.168.1.2", "fd00:1::2"), "bob": ("192.168.1.3", "fd00:1::3")}
OTHERS = {"alice": ("192.168.1.22", "10.1.1.22"), "bob": ("192.168.1.33", "10.1.1.33")}


def home(*, keep_trace: bool = True) -> Network:
    """Both at home, behind one NAT."""
    network = Network(link=GOOD, keep_trace=keep_trace)
    for name in SIDES:
        network.host(name, *HOSTS[name])
    network.nat("home", "203.0.113.1", behaviour=FULL_CONE, inside=SIDES)
    network.host("stun", STUN_SERVER[0])
    network.host("turn", TURN_SERVER[0])
    return network


WAYS: dict[str, dict[str, Any]] = {
    "plain": {"urls": ()},
    "stun": {"urls": (STUN_URL,)},
    "turn": {"urls": (STUN_URL, TURN_URLS[Transport.UDP], TURN_URLS[Transport.TCP])},
    "tcp": {"urls": (STUN_URL,), "ice": ice.Configuration(carries="any", tcp=True)},
    "public": {
        "urls": (STUN_URL,),
        "ice": ice.Configuration(carries="any", tcp=True, public_addresses={"192.168.1.2": "203.0.113.77"}),
    },
    "ipv6": {"urls": (STUN_URL,), "enable_ipv6": True},
}


def told(agents: Agents, name: str) -> str:
    """All that signaling would pass on, in words."""
    agent = agents.agents[name]
    found = [event.candidate for event in agents.events[name] if isinstance(event, ice.CandidateFound)]
    return " ".join(ice.encode_candidate(candidate) for candidate in (*found, *agent.local_candidates))


@pytest.mark.parametrize("way", WAYS)
def test_no_candidate_ever_has_an_address_of_ours(way: str) -> None:
    """Not when they are gathered, nor when checks find some, nor after a restart or a change of addresses."""
    agents = Agents(home(), mdns="hide", **WAYS[way])
    for step in ("connect", "restart", "move", "cut"):
        if step == "restart":
            agents.restart()
        if step == "move":
            for name in SIDES:
                agents.network.host(name).add_ip_address(OTHERS[name][0])
                agents.network.host(name).remove_ip_address(HOSTS[name][0])
                agents.answers[name].look(agents.now)
            agents.restart()
        agents.run(20.0)
        assert agents.echoes()
        for name in SIDES:
            words = told(agents, name)
            assert ".local" in words
            for host in (*HOSTS[name], *OTHERS[name]):
                assert host not in words
    names = [event.name for event in agents.events["alice"] if isinstance(event, ice.NamePublished)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("way", ["blocked UDP", "blocked UDP, from outside"])
def test_a_stream_that_was_made_from_a_hidden_host_does_not_tell_it(way: str) -> None:
    """A check over TCP finds a peer-reflexive candidate with the address of the host itself."""
    network = home()
    for name, policy in zip(SIDES, (UDP_BLOCKED, FirewallPolicy(allowed_ports=(), filtering=None)), strict=True):
        network.firewall(f"{name}'s", policy=policy, inside=[name])
    agents = Agents(network, mdns="hide", ice=ice.Configuration(carries="any", tcp=True))
    if way != "blocked UDP":
        for name, role in (("alice", ice.Role.CONTROLLED), ("bob", ice.Role.CONTROLLING)):
            agents.agents[name].set_role(role, agents.now)
    assert agents.connects()
    assert any(candidate.type == "prflx" for candidate in agents.agents["alice"].local_candidates)
    for name in SIDES:
        assert not any(host in told(agents, name) for host in HOSTS[name])


@pytest.mark.parametrize(("one", "other"), MODES)
@pytest.mark.parametrize("way", ["plain", "stun", "turn", "tcp", "ipv6"])
def test_they_find_each_other_directly_by_their_names(one: str, other: str, way: str) -> None:
    agents = Agents(home(), sides={"alice": {"mdns": one}, "bob": {"mdns": other}}, **WAYS[way])
    assert agents.connects()
    assert agents.now < 3.0
    assert agents.routes() == {"direct"}
    pair = agents.agents["alice"].selected_pair
    assert pair is not None
    assert pair.remote.host in HOSTS["bob"]
    assert agents.echoes()


def connected_peers(**modes: str) -> World:
    configurations = {
        name: peer.Configuration(
            mdns=modes[name], ice_servers=[STUN_URL, TURN_URLS[Transport.UDP]], ice=ice.Configuration(tcp=True)
        )
        for name in SIDES
    }
    network = home()
    servers = {"stun": StunServer(), "turn": turn_server(network)}
    peers = Peers(network=network, alice=configurations["alice"], bob=configurations["bob"], servers=servers)
    world = World(peers=peers)
    world.open("alice", ChannelParameters())
    peers.connect(timeout=10.0)
    return world


@pytest.mark.parametrize("modes", list(itertools.product(["hide", "resolve", "off"], repeat=2)), ids=str)
def test_descriptions_of_whole_connections(modes: tuple[str, str]) -> None:
    """Through descriptions, trickled candidates and a restart; each side with what it does about names."""
    mode_of = dict(zip(SIDES, modes, strict=True))
    world = connected_peers(**mode_of)
    peers = world.peers
    peers.alice.restart_ice(peers.now)
    peers.bob.set_remote_description(peers.alice.set_local_description(None, peers.now), peers.now)
    peers.alice.set_remote_description(peers.bob.set_local_description(None, peers.now), peers.now)
    world.run(20.0)
    for side in SIDES:
        connection = world.connection(side)
        assert connection.local_description is not None
        words = connection.local_description.sdp + " ".join(
            event.candidate.candidate for event in peers.events[side] if isinstance(event, peer.LocalCandidateFound)
        )
        is_hidden = mode_of[side] == "hide"
        assert any(host in words for host in HOSTS[side]) is not is_hidden
        assert (".local " in words) is is_hidden
    world.settle()


def test_with_names_off_there_is_still_the_way_round() -> None:
    """The peer's name is not asked for. Its address as a server sees it is left, where the NAT lets us in there."""
    network = Network(link=GOOD, keep_trace=True)
    for name, public_ip in zip(SIDES, ("203.0.113.1", "203.0.113.2"), strict=True):
        surround(network, name, FULL_CONE, public_ip)
    network.host("stun", STUN_SERVER[0])
    agents = Agents(network, sides={"alice": {"mdns": "hide"}, "bob": {"mdns": "off"}})
    assert agents.connects()
    assert agents.agents["bob"].statistics.candidates_mdns == 1


# Names that lead nowhere, or where they should not.


def offered(agents: Agents, name: str, hosts: list[str]) -> ice.Agent:
    """A candidate of bob with that name, which resolves to these."""
    alice = agents.agents["alice"]
    alice.add_remote_candidate(ice.Candidate("9", 1, "udp", 2**31 - 1, name, 7777, ice.CandidateType.HOST), agents.now)
    alice.name_resolved(name, hosts, agents.now)
    agents.run(3.0)
    return alice


NAME = "6f2a4c1e-1111-4222-8333-444455556666.local"


@pytest.mark.parametrize(
    "hosts",
    [
        ["224.0.0.251"], ["ff02::fb"], ["0.0.0.0"], ["255.255.255.255"], ["::ffff:224.0.0.1"], ["not an address"],
        ["192.168.1.250"], ["127.0.0.1"], ["::1"], ["169.254.169.254"], ["fe80::1"],
    ],
    ids=str,
)  # fmt: skip
def test_a_name_that_leads_to_a_refused_address_is_no_candidate(hosts: list[str]) -> None:
    choosy = ice.Configuration(
        carries="any",
        allow_loopback=False,
        allow_link_local=False,
        remote_filter=AddressFilter(deny=["192.168.1.250"]),
    )
    network = home()
    agents = Agents(network, ice=choosy, enable_ipv6=True)
    agents.run(0.1)
    alice = offered(agents, NAME, hosts)
    assert all(candidate.port != 7777 for candidate in alice.remote_candidates)
    assert not any(isinstance(entry, Sent) and entry.destination[1] == 7777 for entry in network.trace)


def test_a_name_that_leads_to_many_addresses_is_four() -> None:
    agents = Agents(home())
    agents.run(0.1)
    alice = offered(agents, NAME, [f"192.168.1.{n}" for n in range(100, 200)])
    assert sum(candidate.port == 7777 for candidate in alice.remote_candidates) == 4


def test_names_without_an_answer_are_told_of() -> None:
    network = Network(link=GOOD)
    network.host("alice", "192.0.2.1")
    network.host("bob", "192.0.2.2")
    network.nat("alice's", "203.0.113.1", behaviour=SYMMETRIC, inside=["alice"])
    network.host("stun", STUN_SERVER[0])
    agents = Agents(network, urls=())
    alice = agents.agents["alice"]
    for n in range(2):
        alice.add_remote_candidate(
            ice.Candidate(str(n), 1, "udp", 5 + n, f"name{n}.local", 9, ice.CandidateType.HOST), agents.now
        )
    network.set_links("alice", "bob", attrs.evolve(GOOD, loss=1.0))
    agents.run(60.0)
    last = agents.events["alice"][-1]
    assert isinstance(last, Failed)
    assert "besides 2 mDNS names that were not resolved" in last.failure.detail


def test_a_flood_of_names_asks_for_sixteen() -> None:
    agents = Agents(home())
    alice = agents.agents["alice"]
    alice.take_events()
    for n in range(10_000):
        alice.add_remote_candidate(
            ice.Candidate(str(n), 1, "udp", 1 + n, f"name{n}.local", 9, ice.CandidateType.HOST), agents.now
        )
    assert sum(isinstance(event, ice.NameRequested) for event in alice.take_events()) == 16


@pytest.mark.parametrize(
    "name", ["a.b.local", "internal.corp.local", "a.local.example", "local", ".local", "a_b.local"]
)
def test_names_that_are_not_of_the_link_are_no_candidates(name: str) -> None:
    line = f"candidate:1 1 udp 5 {name} 9 typ host"
    with pytest.raises(SdpError):
        sdp.decode_candidate(line)
    world = World(peers=Peers())
    peers = world.peers
    offer = peers.alice.set_local_description(None, 0.0)
    evil = attrs.evolve(offer, sdp=offer.sdp + f"a={line}\r\n")
    peers.bob.set_remote_description(evil, 0.0)
    peers.bob.set_local_description(None, 0.0)
    assert not any(isinstance(event, ice.NameRequested) for event in peers.bob.take_events())
