"""ice_candidate_flood and section 5.5 end to end: what a peer's candidates make reach others, also by way of a relay.

Each candidate of a flood names a host of the simulated network that has never heard of us.
"""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest

from tests.simulation.nats import STUN_URL, TURN_SERVER, TURN_URLS, Agents
from xp2p_trio import ice
from xp2p_trio.sansio import Burst, Transport
from xp2p_trio.testing import Link, Network

VICTIM, OTHERS = "203.0.113.66", 40
MOST = 70_000
"""Bytes of checks that one description is worth (section 5.5)."""

PACE = 0.005 - 1e-9


class VictimSpy:
    """What is sent to hosts that are no peers, by whom, and when."""

    def __init__(self) -> None:
        self.size: Counter[str] = Counter()
        self.count: Counter[tuple[object, object]] = Counter()
        self.other = 0
        self.times: list[float] = []

    def sent(self, burst: Burst, now: float) -> None:
        if not burst.remote[0].startswith("203.0.113.") or burst.transport.is_stream:
            return
        for datagram in burst.datagrams:
            self.size[burst.remote[0]] += len(datagram)
            self.count[burst.local, burst.remote] += 1
            self.other += len(datagram) if datagram[0] > 3 else 0
            self.times.append(now)

    def delivered(self, burst: Burst, now: float) -> None:
        pass


def network_with_victims(*alice: str) -> tuple[Network, VictimSpy]:
    network, spy = Network(seed=1, link=Link(delay=0.02)), VictimSpy()
    network.host("alice", *alice)
    network.host("bob", "192.0.2.2")
    network.host("stun", "198.51.100.1")
    network.host("turn", TURN_SERVER[0])
    for n in range(OTHERS):
        network.host(f"victim{n}", f"203.0.113.{n + 66}")
    network.add_monitor(spy)
    return network, spy


def flood(agents: Agents, *, one_victim: bool, transport: str = "udp", kind: str = "host") -> None:
    for n in range(10_000):
        host = VICTIM if one_victim else f"203.0.113.{n % OTHERS + 66}"
        candidate = ice.Candidate(
            str(n), 1, transport, 2**31 - 1 - n, host, 1 + n % 65535, ice.CandidateType(kind),
            tcp_type="passive" if transport == "tcp" else None,
        )  # fmt: skip
        agents.agents["alice"].add_remote_candidate(candidate, agents.now)


WAYS: dict[str, dict[str, Any]] = {
    "a socket": {"alice": ("192.0.2.1",)},
    "four sockets": {"alice": ("192.0.2.1", "192.0.2.11", "192.0.2.12", "192.0.2.13")},
    "a socket and a relay": {"alice": ("192.0.2.1",), "urls": (STUN_URL, TURN_URLS[Transport.UDP])},
    "a relay over TCP alone": {
        "alice": ("192.0.2.1",), "urls": (TURN_URLS[Transport.TCP],), "relay_only": ("alice",)
    },
}  # fmt: skip


@pytest.mark.parametrize("one_victim", [True, False], ids=["one victim", "forty victims"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("is_over", [True, False], ids=["all told", "more may come"])
def test_ten_thousand_candidates(way: str, *, one_victim: bool, is_over: bool) -> None:
    choices = dict(WAYS[way])
    network, spy = network_with_victims(*choices.pop("alice"))
    agents = Agents(network, **choices)
    alice = agents.agents["alice"]
    for name in ("alice", "turn"):
        network.set_links(name, "bob", Link(loss=1.0))
    agents.run(1.0)  # its relays are there
    flood(agents, one_victim=one_victim)
    if is_over:
        alice.end_of_remote_candidates(agents.now)
    pairs = 0
    for _ in range(60):
        agents.run(1.0)
        pairs = max(pairs, len(alice.pair_report))
    assert alice.state is ice.State.FAILED
    assert len(alice.remote_candidates) <= 100
    assert 50 <= pairs <= 128
    assert spy.other == 0
    assert 0 < sum(spy.size.values()) <= MOST
    assert max(spy.count.values()) <= 7
    assert all(later - earlier >= PACE for earlier, later in itertools.pairwise(spy.times))


@pytest.mark.parametrize("way", ["a socket and a relay", "a relay over TCP alone"])
def test_a_relay_is_asked_for_so_many_permissions_and_sends_nothing_but_checks(way: str) -> None:
    """Those that the server grants are at most as many as section 5.4 allows, however many hosts are named."""
    choices = dict(WAYS[way])
    network, spy = network_with_victims(*choices.pop("alice"))
    agents = Agents(network, **choices)
    agents.run(1.0)
    alice = agents.agents["alice"]
    for n in range(10_000):
        host = f"203.0.{n >> 8}.{n & 255}"
        alice.add_remote_candidate(ice.Candidate(str(n), 1, "udp", 1 + n, host, 9, ice.CandidateType.HOST), agents.now)
    before = network.link_statistics("alice", "turn").sent
    agents.run(45.0)
    # A few for each permission, and the checks that travel by way of it.
    assert network.link_statistics("alice", "turn").sent - before <= 64 * 7 + 128 * 7
    assert spy.other == 0
    assert sum(spy.size.values()) <= MOST


@pytest.mark.parametrize("one_victim", [True, False], ids=["one victim", "forty victims"])
def test_ten_thousand_tcp_candidates(*, one_victim: bool) -> None:
    """Each is connected to once, and hears nothing but one check if somebody listens there."""
    network, _spy = network_with_victims("192.0.2.1")
    for n in range(200):
        network.listen("victim0", (VICTIM, 1 + n))
    agents = Agents(network, urls=(), ice=ice.Configuration(carries="any", tcp=True, check_timeout=39.5))
    said: Counter[object] = Counter()

    class StreamSpy:
        def sent(self, burst: Burst, now: float) -> None:
            if burst.transport is Transport.TCP:
                said[burst.remote] += sum(map(len, burst.datagrams))
                assert all(item[2] <= 3 for item in burst.datagrams)

        def delivered(self, burst: Burst, now: float) -> None:
            pass

    network.add_monitor(StreamSpy())
    network.set_links("alice", "bob", Link(loss=1.0))
    flood(agents, one_victim=one_victim, transport="tcp")
    agents.run(60.0)
    requests = [event for event in agents.events["alice"] if isinstance(event, ice.StreamRequested)]
    assert 0 < len(requests) <= 128
    assert max(Counter(request.remote for request in requests).values()) == 1
    assert sum(said.values()) <= 128 * 120
    assert max(said.values()) <= 120
    released = {event.remote for event in agents.events["alice"] if isinstance(event, ice.StreamReleased)}
    assert set(said) <= released
