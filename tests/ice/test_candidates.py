"""Which candidates and pairs there are, and which are left out (RFC 8445 sections 5.1.2, 5.1.3 and 6.1.2)."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ice.lone import SOCKET, Lone
from xp2p_trio import stun
from xp2p_trio.ice import Agent, Candidate, CandidateType, Configuration, Role, State, candidate_priority
from xp2p_trio.sansio import Address, Burst

SERVERS: list[Address] = [("198.51.100.3", 3478), ("198.51.100.4", 3478), ("198.51.100.5", 3478)]
PUBLIC = "203.0.113.1"


def gathered(
    mapped: dict[tuple[Address, Address], Address], *bases: Address, configuration: Configuration | None = None
) -> Agent:
    """An agent whose sockets the servers have seen like this; who is not mapped has no answer."""
    agent = Agent(configuration or Configuration(), role=Role.CONTROLLING, random_bytes=random.Random(1).randbytes)
    now = 0.0
    agent.gather(now)
    for base in bases:
        agent.add_local_address(base, now)
    for server in SERVERS:
        agent.add_stun_server(server, now)
    agent.end_of_local_addresses(now)
    while not agent.is_gathering_complete:
        for burst in agent.transmit(now, 9):
            address = mapped.get((burst.local, burst.remote))
            if address is not None:
                asked = stun.decode_message(burst.datagrams[0])
                message = stun.Message(
                    stun.MessageClass.SUCCESS_RESPONSE, 1, asked.transaction_id, (stun.XorMappedAddress(address),)
                )
                agent.receive(Burst(burst.local, burst.remote, [stun.encode_message(message)]), now)
        now = agent.next_timeout()
        agent.handle_timeout(now)
    return agent


def reflexive(agent: Agent) -> list[Candidate]:
    return [c for c in agent.local_candidates if c.type is CandidateType.SERVER_REFLEXIVE]


def test_two_servers_that_see_the_same_make_one_candidate() -> None:
    agent = gathered({(SOCKET, server): (PUBLIC, 7000) for server in SERVERS}, SOCKET)
    assert [candidate.address for candidate in reflexive(agent)] == [(PUBLIC, 7000)]


def test_a_server_that_sees_the_socket_itself_makes_none() -> None:
    assert reflexive(gathered({(SOCKET, SERVERS[0]): SOCKET}, SOCKET)) == []


def test_servers_that_see_different_ports_make_one_each_with_a_priority_and_foundation_of_its_own() -> None:
    agent = gathered({(SOCKET, server): (PUBLIC, 7000 + n) for n, server in enumerate(SERVERS)}, SOCKET)
    candidates = reflexive(agent)
    assert [candidate.port for candidate in candidates] == [7000, 7001, 7002]
    expected = [candidate_priority(CandidateType.SERVER_REFLEXIVE, 65535 - n) for n in range(3)]
    assert [candidate.priority for candidate in candidates] == expected
    assert len({candidate.foundation for candidate in candidates}) == 3


@pytest.mark.parametrize("mapped", ["0.0.0.0", "224.0.0.1", "255.255.255.255"])
def test_what_nobody_can_be_reached_by_is_no_candidate(mapped: str) -> None:
    assert reflexive(gathered({(SOCKET, SERVERS[0]): (mapped, 7000)}, SOCKET)) == []


@given(
    count=st.integers(1, 6),
    ports=st.lists(st.integers(7000, 7003), min_size=18, max_size=18),
    public=st.booleans(),
)
def test_every_candidate_has_a_priority_of_its_own(count: int, ports: list[int], *, public: bool) -> None:
    bases = [(f"10.0.0.{n}", 5000) for n in range(1, count + 1)]
    mapped = {path: (PUBLIC, port) for path, port in zip(itertools.product(bases, SERVERS), ports, strict=False)}
    configuration = Configuration(public_addresses={"10.0.0.1": "203.0.113.9"} if public else {})
    agent = gathered(mapped, *bases, configuration=configuration)
    candidates = agent.local_candidates
    priorities = [candidate.priority for candidate in candidates]
    assert len(set(priorities)) == len(priorities)
    assert all(1 <= priority < 2**31 for priority in priorities)
    assert len({(c.address, c.related_address) for c in candidates}) == len(candidates)
    for base, other in itertools.combinations([c for c in candidates if c.type == "host"], 2):
        assert base.priority > other.priority  # in the driver's order


# Pairs (section 6.1.2).


def told(host: str, port: int = 7001, type_: CandidateType = CandidateType.HOST, priority: int = 1000) -> Candidate:
    return Candidate(f"{host[-1]}{port}", 1, "udp", priority, host, port, type_)


def test_a_reflexive_candidate_of_ours_is_in_no_pair_as_its_base_is() -> None:
    """Pruning, section 6.1.2.4: a check could only leave from the base."""
    agent = gathered({(SOCKET, SERVERS[0]): (PUBLIC, 7000)}, SOCKET)
    agent.set_remote_credentials("peer", "p" * 22, 10.0)
    for n in range(3):
        agent.add_remote_candidate(told(f"198.51.100.{n + 10}"), 10.0)
    assert len(agent.pair_report) == 3
    assert {pair.local.address for pair in agent.pair_report} == {SOCKET}


@pytest.mark.parametrize(
    ("ours", "theirs", "is_pair"),
    [
        ("192.0.2.1", "198.51.100.7", True),
        ("192.0.2.1", "2001:db8::7", False),
        ("2001:db8::1", "2001:db8::7", True),
        ("2001:db8::1", "198.51.100.7", False),
        ("fe80::1", "fe80::7", True),
        ("fe80::1", "2001:db8::7", False),
        ("2001:db8::1", "fe80::7", False),
        ("192.0.2.1", "169.254.1.7", True),  # the rule is IPv6's
    ],
)
def test_families_and_link_local_addresses(ours: str, theirs: str, *, is_pair: bool) -> None:
    """Section 6.1.2.2."""
    lone = Lone(tcp=False)
    lone.agent.remove_local_address(SOCKET, lone.now)
    lone.agent.add_local_address((ours, 5001), lone.now)
    lone.agent.add_remote_candidate(told(theirs), lone.now)
    assert len(lone.agent.pair_report) == is_pair


def test_the_same_address_told_twice_is_one_pair() -> None:
    lone = Lone(tcp=False)
    for type_ in (CandidateType.HOST, CandidateType.SERVER_REFLEXIVE, CandidateType.RELAYED):
        lone.agent.add_remote_candidate(told("198.51.100.7", type_=type_), lone.now)
    (pair,) = lone.agent.pair_report
    assert pair.remote.type is CandidateType.HOST


def test_the_limit_keeps_the_best_pairs() -> None:
    """Section 6.1.2.5."""
    lone = Lone(tcp=False, max_pairs=20)
    priorities = list(range(1, 101))
    random.Random(1).shuffle(priorities)
    for priority in priorities:
        lone.agent.add_remote_candidate(told("198.51.100.7", 7000 + priority, priority=priority), lone.now)
    assert sorted(pair.remote.priority for pair in lone.agent.pair_report) == list(range(81, 101))


def test_a_socket_that_goes_before_the_nomination_leaves_nothing_to_do_at_once() -> None:
    """The time to nominate came, with nothing to nominate, and stayed."""
    lone = Lone(tcp=False)
    lone.agent.add_remote_candidate(told("198.51.100.7"), lone.now)
    lone.answer_all(lone.pull(), ("203.0.113.1", 7000))
    assert lone.agent.state is State.CONNECTED
    lone.agent.remove_local_address(SOCKET, lone.now)
    for _ in range(100):
        due = lone.agent.next_timeout()
        if due > lone.now + 1.0:
            break
        lone.now = due
        lone.agent.handle_timeout(lone.now)
        lone.pull()
    else:
        raise AssertionError("the agent spins")


# Names that are still being resolved.


@pytest.mark.parametrize(("hosts", "waits"), [([], 0.05), (["198.51.100.99"], 0.5)])
def test_a_name_that_is_being_resolved_may_be_better_and_is_waited_for(hosts: list[str], waits: float) -> None:
    lone = Lone(tcp=False)
    peer: Address = ("198.51.100.7", 7001)
    lone.agent.add_remote_candidate(told(*peer, CandidateType.SERVER_REFLEXIVE), lone.now)
    lone.agent.add_remote_candidate(
        Candidate("n", 1, "udp", 2**31 - 1, "name.local", 7001, CandidateType.HOST), lone.now
    )
    lone.agent.end_of_remote_candidates(lone.now)
    lone.answer_all(lone.pull(), ("203.0.113.1", 7000))
    assert lone.wait(0.2) == []  # nothing is nominated
    assert lone.agent.state is State.CONNECTED
    lone.agent.name_resolved("name.local", hosts, lone.now)
    bursts = lone.wait(waits)
    nominations = [
        burst for burst in bursts if stun.decode_message(burst.datagrams[0]).get(stun.UseCandidate) is not None
    ]
    assert [burst.remote for burst in nominations] == [peer]
