"""Candidates of our own: hosts, server-reflexive ones, priorities, foundations, limits."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xp2p_trio import stun
from xp2p_trio.errors import InvalidArgument, InvalidState
from xp2p_trio.ice import (
    AddressesRequested,
    Agent,
    Candidate,
    CandidateFound,
    CandidateType,
    Configuration,
    GatheringCompleted,
    Role,
    State,
    StateChanged,
    candidate_priority,
    pair_priority,
)
from xp2p_trio.sansio import Address, Burst

SERVER = ("198.51.100.3", 3478)


def make_agent(configuration: Configuration | None = None) -> Agent:
    return Agent(configuration or Configuration(), role=Role.CONTROLLING, random_bytes=random.Random(3).randbytes)


def found(agent: Agent) -> list[Candidate]:
    return [event.candidate for event in agent.take_events() if isinstance(event, CandidateFound)]


def answer(burst: Burst, mapped: Address) -> Burst:
    request = stun.decode_message(burst.datagrams[0])
    reply = stun.Message(
        stun.MessageClass.SUCCESS_RESPONSE, 1, request.transaction_id, (stun.XorMappedAddress(mapped),)
    )
    return Burst(burst.local, burst.remote, [stun.encode_message(reply)])


def test_gathering_asks_and_completes() -> None:
    agent = make_agent()
    agent.gather(1.0)
    assert agent.take_events() == [StateChanged(State.GATHERING), AddressesRequested()]
    agent.gather(1.0)
    agent.add_local_address(("10.0.0.1", 4000), 1.0)
    agent.add_local_address(("10.0.0.1", 4000), 1.0)
    (candidate,) = found(agent)
    assert candidate == Candidate(
        "1", 1, "udp", 2130706431, "10.0.0.1", 4000, CandidateType.HOST, username_fragment=agent.local_username_fragment
    )
    assert not agent.is_gathering_complete
    agent.end_of_local_addresses(1.0)
    assert agent.take_events() == [GatheringCompleted()]
    assert agent.is_gathering_complete
    assert agent.next_timeout() == math.inf


def test_priorities_and_foundations() -> None:
    agent = make_agent()
    agent.gather(0.0)
    for base in (("10.0.0.1", 1), ("10.0.0.1", 2), ("2001:db8::1", 3), ("fe80::1%eth0", 4)):
        agent.add_local_address(base, 0.0)
    candidates = found(agent)
    assert [c.priority for c in candidates] == [candidate_priority(CandidateType.HOST, 65535 - n) for n in range(4)]
    assert [c.foundation for c in candidates] == ["1", "1", "2", "3"]
    assert candidates[3].host == "fe80::1"


@given(st.sampled_from(CandidateType), st.integers(0, 65535), st.integers(1, 256))
def test_candidate_priority_is_the_formula(type_: CandidateType, preference: int, component: int) -> None:
    priority = candidate_priority(type_, preference, component)
    type_preference = {"host": 126, "prflx": 110, "srflx": 100, "relay": 0}[type_]
    assert priority == 2**24 * type_preference + 2**8 * preference + 256 - component
    assert 0 <= priority < 2**31


@given(st.integers(1, 2**31 - 1), st.integers(1, 2**31 - 1))
def test_pair_priority_is_the_same_on_both_sides(ours: int, theirs: int) -> None:
    priority = pair_priority(ours, theirs, Role.CONTROLLING)
    assert priority == pair_priority(theirs, ours, Role.CONTROLLED)
    assert priority == 2**32 * min(ours, theirs) + 2 * max(ours, theirs) + (ours > theirs)


def test_server_reflexive_candidates() -> None:
    agent = make_agent()
    agent.gather(0.0)
    agent.add_stun_server(SERVER, 0.0)
    agent.add_local_address(("10.0.0.1", 4000), 0.0)
    agent.add_local_address(("2001:db8::1", 4000), 0.0)
    agent.add_local_address(("127.0.0.1", 4000), 0.0)
    agent.end_of_local_addresses(0.0)
    agent.take_events()
    (burst,) = agent.transmit(0.0, 10)
    assert (burst.local, burst.remote) == (("10.0.0.1", 4000), SERVER)
    agent.receive(answer(burst, ("203.0.113.1", 61000)), 0.1)
    events = agent.take_events()
    assert events[1:] == [GatheringCompleted()]
    assert isinstance(events[0], CandidateFound)
    candidate = events[0].candidate
    assert (candidate.type, candidate.address) == ("srflx", ("203.0.113.1", 61000))
    assert candidate.related_address == ("10.0.0.1", 4000)
    assert candidate.priority == candidate_priority(CandidateType.SERVER_REFLEXIVE, 65535)


def test_no_nat_no_reflexive_candidate() -> None:
    agent = make_agent()
    agent.gather(0.0)
    agent.add_local_address(("203.0.113.1", 4000), 0.0)
    agent.add_stun_server(SERVER, 0.0)
    agent.end_of_local_addresses(0.0)
    (burst,) = agent.transmit(0.0, 10)
    agent.take_events()
    agent.receive(answer(burst, ("203.0.113.1", 4000)), 0.1)
    assert agent.take_events() == [GatheringCompleted()]


def test_a_silent_server_delays_only_the_end_and_at_most_five_seconds() -> None:
    agent = make_agent()
    agent.gather(10.0)
    agent.add_local_address(("10.0.0.1", 4000), 10.0)
    agent.add_stun_server(SERVER, 10.0)
    agent.end_of_local_addresses(10.0)
    agent.set_remote_credentials("abcd", "p" * 22, 10.0)
    agent.add_remote_candidate(Candidate("1", 1, "udp", 1, "10.0.0.2", 9, CandidateType.HOST), 10.0)
    now, sent = 10.0, []
    while not agent.is_gathering_complete:
        sent += [(now, burst.remote) for burst in agent.transmit(now, 10)]
        now = agent.next_timeout()
        agent.handle_timeout(now)
    assert now == 15.0
    assert sent[0] == (10.0, ("10.0.0.2", 9))  # a check, not the query, goes first
    assert [round(at - 10, 3) for at, remote in sent if remote == SERVER] == [0.005, 0.505, 1.505, 3.505]


def test_queries_are_paced() -> None:
    agent = make_agent()
    agent.gather(0.0)
    for port in range(1, 11):
        agent.add_local_address(("10.0.0.1", port), 0.0)
    agent.add_stun_server(SERVER, 0.0)
    now, first = 0.0, {}
    for _ in range(20):
        for burst in agent.transmit(now, 10):
            first.setdefault(burst.local, now)
        now = agent.next_timeout()
        agent.handle_timeout(now)
    times = list(first.values())
    assert len(times) == 10
    assert all(b - a >= 0.05 - 1e-9 for a, b in itertools.pairwise(times))


def test_at_most_32_local_candidates() -> None:
    agent = make_agent()
    agent.gather(0.0)
    for port in range(1, 50):
        agent.add_local_address(("10.0.0.1", port), 0.0)
    assert len(agent.local_candidates) == len(found(agent)) == 32
    assert agent.statistics.candidates_refused == 17


def test_order_of_calls() -> None:
    agent = make_agent()
    for call in (
        lambda: agent.add_local_address(("10.0.0.1", 1), 0.0),
        lambda: agent.add_stun_server(SERVER, 0.0),
        lambda: agent.end_of_local_addresses(0.0),
    ):
        with pytest.raises(InvalidState, match="call gather"):
            call()
    with pytest.raises(InvalidState, match="no pair is selected in state NEW"):
        agent.send([b"x"], 0.0)
    agent.gather(0.0)
    agent.end_of_local_addresses(0.0)
    with pytest.raises(InvalidState, match=r"after end_of_local_addresses"):
        agent.add_stun_server(SERVER, 0.0)
    agent.add_local_address(("10.0.0.1", 1), 0.0)  # an interface may come up at any time
    agent.set_remote_credentials("abcd", "p" * 22, 0.0)
    agent.set_remote_credentials("abcd", "p" * 22, 0.0)
    with pytest.raises(InvalidState, match="set already"):
        agent.set_remote_credentials("abcd", "q" * 22, 0.0)
    agent.close(0.0)
    agent.add_local_address(("10.0.0.1", 1), 0.0)
    agent.end_of_remote_candidates(0.0)
    agent.close(0.0)
    assert agent.state is State.CLOSED


@pytest.mark.parametrize(
    "address", [("0.0.0.0", 1), ("::", 1), ("224.0.0.1", 1), ("ff02::1", 1), ("10.0.0.1", 0), ("example.org", 1)]
)
def test_addresses_that_nobody_could_use(address: Address) -> None:
    agent = make_agent()
    agent.gather(0.0)
    with pytest.raises(InvalidArgument, match="cannot be a host candidate"):
        agent.add_local_address(address, 0.0)


@pytest.mark.parametrize(
    "changes",
    [
        {"username_fragment": "abcd"},
        {"username_fragment": "abc", "password": "p" * 22},
        {"username_fragment": "ab:d", "password": "p" * 22},
        {"username_fragment": "abcd", "password": "p" * 21},
        {"username_fragment": "abcd", "password": "p" * 257},
        {"nomination": "eager"},
        {"check_pacing": 0.004},
        {"patience": -1.0},
        {"check_timeout": math.nan},
        {"max_pairs": 0},
    ],
)
def test_configurations_that_cannot_work(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument):
        Configuration(**changes)  # type: ignore[arg-type]


def test_credentials_are_drawn_or_given_and_not_shown() -> None:
    drawn = make_agent()
    assert len(drawn.local_username_fragment) == 8
    assert len(drawn.local_password) == 24
    configuration = Configuration(username_fragment="user", password="secretsecretsecretsecret")
    assert "secret" not in repr(configuration)
    agent = make_agent(configuration)
    assert (agent.local_username_fragment, agent.local_password) == ("user", "secretsecretsecretsecret")


@pytest.mark.parametrize("interval", [4.9, 24.1, 0.0, math.nan])
def test_consent_interval_is_bounded(interval: float) -> None:
    with pytest.raises(InvalidArgument, match="consent_interval"):
        Agent(Configuration(), role=Role.CONTROLLED, random_bytes=random.randbytes, consent_interval=interval)


def test_an_interface_that_comes_and_goes_for_a_day_keeps_a_valid_priority() -> None:
    """A local preference has 16 bits (RFC 8445 section 5.1.2.1), and each address that comes has its own."""
    agent = make_agent()
    agent.gather(0.0)
    for now in range(65_600):
        agent.add_local_address(("10.0.0.1", 4000), now)
        agent.remove_local_address(("10.0.0.1", 4000), now)
    priorities = [candidate.priority for candidate in found(agent)]
    assert priorities == sorted(priorities, reverse=True)
    assert {priority >> 24 for priority in priorities} == {126}
