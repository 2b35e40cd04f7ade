"""tcp_victims: what candidates can make us connect to, and what we say there (RFC 6544 section 12, threats 5.5)."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.ice.lone import TCP, Lone, framed, passive
from tests.security.test_ice_ssrf_dns import LINK_LOCAL, LOOPBACK, NEVER
from xp2p_trio.ice import Candidate, CandidateType, StreamRequested
from xp2p_trio.sansio import AddressFilter, canonical_host


def victim(n: int) -> Candidate:
    return passive(("203.0.113.99", 1 + n % 65535), foundation=str(n))


def run_for_as_long_as_it_tries(lone: Lone, latency: float) -> tuple[list[StreamRequested], int]:
    """Streams that fail after so many seconds. Returns all, and how many were being connected at once at most."""
    waiting: list[tuple[float, StreamRequested]] = []
    asked: list[StreamRequested] = []
    most = 0
    for _ in range(450):
        assert framed(lone.wait(0.1)) == []  # nothing is said before anybody answers
        new = lone.requested()
        asked += new
        waiting += [(lone.now + latency, request) for request in new]
        most = max(most, len(waiting))
        for due, request in list(waiting):
            if due <= lone.now:
                waiting.remove((due, request))
                lone.agent.stream_failed(request.number, "no answer", lone.now)
    return asked, most


@pytest.mark.parametrize("latency", [0.05, 10.0], ids=["refused at once", "silent"])
def test_ten_thousand_ports_of_a_victim(latency: float) -> None:
    lone = Lone()
    for n in range(10_000):
        lone.agent.add_remote_candidate(victim(n), lone.now)
    asked, most = run_for_as_long_as_it_tries(lone, latency)
    assert len(lone.agent.remote_candidates) <= 100
    assert most <= 5
    assert len(asked) <= (100 if latency < 1.0 else 20)
    assert max(Counter(request.remote for request in asked).values()) == 1


def test_ten_thousand_victims() -> None:
    lone = Lone()
    for n in range(10_000):
        lone.agent.add_remote_candidate(passive((f"203.{n >> 8}.113.{n & 255}", 80), foundation=str(n)), lone.now)
    asked, most = run_for_as_long_as_it_tries(lone, 10.0)
    assert most <= 16
    assert len(asked) <= 100


@pytest.mark.parametrize("host", NEVER)
def test_never(host: str) -> None:
    lone = Lone()
    lone.agent.add_local_address(("2001:db8::1", 6001), lone.now, TCP)
    spelled = canonical_host(host)
    assert spelled is not None
    lone.agent.add_remote_candidate(passive((spelled, 80)), lone.now)
    lone.wait(3.0)
    assert lone.requested() == []
    assert lone.agent.statistics.candidates_refused == 1


@pytest.mark.parametrize("host", LOOPBACK + LINK_LOCAL)
def test_by_policy(host: str) -> None:
    lone = Lone(allow_loopback=False, allow_link_local=False)
    lone.agent.add_local_address(("2001:db8::1", 6001), lone.now, TCP)
    spelled = canonical_host(host)
    assert spelled is not None
    lone.agent.add_remote_candidate(passive((spelled, 80)), lone.now)
    lone.wait(3.0)
    assert lone.requested() == []


def test_by_filter() -> None:
    lone = Lone(remote_filter=AddressFilter(allow=["198.51.100.0/24"], deny=["198.51.100.9"]))
    for n in range(20):
        lone.agent.add_remote_candidate(passive((f"198.51.100.{n}", 80), foundation=str(n)), lone.now)
        lone.agent.add_remote_candidate(passive((f"198.51.101.{n}", 80), foundation=f"{n}a"), lone.now)
    asked, _ = run_for_as_long_as_it_tries(lone, 0.1)
    assert {request.remote[0] for request in asked} == {f"198.51.100.{n}" for n in range(20)} - {"198.51.100.9"}


def test_names_are_not_connected_to() -> None:
    lone = Lone()
    name = "6f2a4c1e-1111-2222-3333-444455556666.local"
    lone.agent.add_remote_candidate(
        Candidate("1", 1, "tcp", 5, name, 80, CandidateType.HOST, tcp_type="passive"), lone.now
    )
    lone.wait(1.0)
    assert lone.requested() == []
    lone.agent.name_resolved(name, ["224.0.0.251", "127.0.0.1", "255.255.255.255", "192.0.2.77"], lone.now)
    lone.wait(1.0)
    asked = {request.remote for request in lone.events if isinstance(request, StreamRequested)}
    assert asked | {request.remote for request in lone.requested()} == {("127.0.0.1", 80), ("192.0.2.77", 80)}
