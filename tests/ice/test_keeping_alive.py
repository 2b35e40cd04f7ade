"""Mappings of NATs that candidates are have to last until ICE is done (RFC 8445 section 5.1.1.4)."""

from __future__ import annotations

import math

import attrs
import pytest

from tests.simulation.nats import TURN_URLS, Agents, internet
from xp2p_trio.sansio import Transport
from xp2p_trio.testing import PORT_RESTRICTED_CONE, SYMMETRIC


def test_a_nat_is_reminded_of_what_it_was_seen_as_until_a_path_is_chosen() -> None:
    """Signaling that takes minutes, as by hand: the mapping of an hour ago is still that of the candidate."""
    network = internet(attrs.evolve(PORT_RESTRICTED_CONE, timeout=30.0), "open", keep_trace=True)
    agents = Agents(network, is_introduced=False)
    agents.run(600.0)
    mapped = [c for c in agents.agents["alice"].local_candidates if c.type == "srflx"]
    agents.introduce()
    assert agents.connects()
    assert agents.agents["alice"].selected_pair is not None
    assert [c for c in agents.agents["alice"].local_candidates if c.type == "srflx"] == mapped
    asked = network.link_statistics("alice", "stun").sent
    assert 38 <= asked <= 42  # every 15 s
    agents.run(600.0)
    assert network.link_statistics("alice", "stun").sent == asked


@pytest.mark.parametrize("relay_only", [(), ("alice",)])
def test_a_nat_is_reminded_of_the_way_to_a_relay(relay_only: tuple[str, ...]) -> None:
    network = internet(attrs.evolve(SYMMETRIC, timeout=30.0), SYMMETRIC, keep_trace=True)
    agents = Agents(network, urls=(TURN_URLS[Transport.UDP],), is_introduced=False, relay_only=relay_only)
    agents.run(300.0)
    agents.introduce()
    assert agents.connects()
    assert agents.echoes()


def test_without_a_nat_nobody_is_reminded() -> None:
    network = internet("open", "open", keep_trace=True)
    agents = Agents(network, is_introduced=False)
    agents.run(300.0)
    assert network.link_statistics("alice", "stun").sent == 1
    assert agents.agents["alice"].next_timeout() == math.inf
