"""Which addresses of the peer are tried (`remote_filter`, `allow_*`) and which of ours are used, end to end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.simulation.nats import STUN_SERVER, STUN_URL, TURN_URLS, Agents
from tests.simulation.world import GOOD, SIDES, other_side
from xp2p_trio import ice
from xp2p_trio.sansio import AddressFilter, Failed, Transport
from xp2p_trio.testing import Network, Sent

GOOD_HOST, BAD_HOST = "203.0.113.1", "198.18.0.1"


def network(alice: Sequence[str] = (BAD_HOST, GOOD_HOST), bob: Sequence[str] = ("203.0.113.2",)) -> Network:
    network = Network(link=GOOD, keep_trace=True)
    network.host("alice", *alice)
    network.host("bob", *bob)
    network.host("stun", STUN_SERVER[0])
    network.host("turn", "198.51.100.2")
    return network


def agents_with(network: Network, filtering: str, remote_filter: AddressFilter, **fields: Any) -> Agents:
    return Agents(network, sides={filtering: {"remote_filter": remote_filter}}, **fields)


def sent_to(network: Network, host: str, *sources: str) -> int:
    """How many datagrams have been sent to a host."""
    entries = [entry for entry in network.trace if isinstance(entry, Sent) and entry.destination[0] == host]
    return sum(entry.source[0] in sources for entry in entries)


@pytest.mark.parametrize("controls", SIDES)
@pytest.mark.parametrize(
    "remote_filter",
    [AddressFilter(deny=["198.18.0.0/15"]), AddressFilter(allow=["203.0.113.0/24"]), AddressFilter(allow=[GOOD_HOST])],
    ids=["deny", "allow a network", "allow an address"],
)
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_the_other_address_of_the_peer_is_taken(remote_filter: AddressFilter, controls: str, transport: str) -> None:
    """The preferred one of the peer is refused, and its checks from there are not answered either."""
    net = network()
    agents = agents_with(net, "bob", remote_filter, ice=ice.Configuration(carries="any", tcp=transport == "tcp"))
    for name in SIDES:
        role = ice.Role.CONTROLLING if name == controls else ice.Role.CONTROLLED
        agents.agents[name].set_role(role, agents.now)
    assert agents.connects()
    pair = agents.agents["bob"].selected_pair
    assert pair is not None
    assert pair.remote.host == GOOD_HOST
    assert agents.agree_on_a_pair()
    assert agents.echoes()
    agents.run(60.0)
    assert agents.echoes()
    assert sent_to(net, BAD_HOST, "203.0.113.2") == 0
    assert agents.agents["bob"].statistics.candidates_refused > 0


@pytest.mark.parametrize("filtering", SIDES)
@pytest.mark.parametrize("urls", [(), (STUN_URL,)])
def test_when_nothing_is_left_both_are_told(filtering: str, urls: tuple[str, ...]) -> None:
    net = network(alice=["203.0.113.1"])
    other = net.host(other_side(filtering)).ip_addresses[0]
    agents = agents_with(net, filtering, AddressFilter(deny=[other]), urls=urls)
    assert not agents.connects()
    for name in SIDES:
        assert isinstance(agents.events[name][-1], Failed)
    assert sent_to(net, other, *net.host(filtering).ip_addresses) == 0


def test_nothing_but_a_relay_of_the_peer_may_be_allowed() -> None:
    net = network(alice=["203.0.113.1"])
    agents = agents_with(net, "bob", AddressFilter(allow=["198.51.100.0/24"]), urls=(TURN_URLS[Transport.UDP],))
    assert agents.connects()
    pair = agents.agents["bob"].selected_pair
    assert pair is not None
    assert pair.remote.host == "198.51.100.2"
    assert agents.echoes()
    assert sent_to(net, "203.0.113.1", "203.0.113.2") == 0


@pytest.mark.parametrize(("kind", "host"), [("loopback", "127.0.0.1"), ("link_local", "169.254.7.7")])
@pytest.mark.parametrize("is_allowed", [True, False])
def test_loopback_and_link_local_by_policy(kind: str, host: str, *, is_allowed: bool) -> None:
    net = network(alice=[host])
    agents = Agents(net, urls=(), sides={"bob": {f"allow_{kind}": is_allowed}})
    assert agents.connects() is is_allowed
    assert is_allowed or sent_to(net, host, "203.0.113.2") == 0
