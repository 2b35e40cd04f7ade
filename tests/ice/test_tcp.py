"""ICE over TCP (RFC 6544): candidates, pairs, checks over streams that have to be connected first."""

from __future__ import annotations

import itertools

import pytest

from tests.ice.lone import HOST, PEER, PORT, SOCKET, TCP, Lone, frame, framed, passive
from xp2p_trio import stun
from xp2p_trio.errors import InvalidArgument
from xp2p_trio.ice import (
    Agent,
    Candidate,
    CandidateFound,
    CandidateType,
    Configuration,
    PairSelected,
    PairState,
    Role,
    State,
    StreamReleased,
    StreamRequested,
    StreamRequestWithdrawn,
    encode_candidate,
)
from xp2p_trio.sansio import Address, Failed

# Candidates.


def tcp_candidates(agent: Agent) -> list[Candidate]:
    return [candidate for candidate in agent.local_candidates if candidate.transport == "tcp"]


def test_a_port_is_a_passive_candidate_and_its_host_an_active_one() -> None:
    lone = Lone()
    lines = [encode_candidate(candidate) for candidate in tcp_candidates(lone.agent)]
    # RFC 6544 section 4.2, with the largest preference for the only address.
    active, passive_ = ((90 << 24) + (((direction << 13) + 8191) << 8) + 255 for direction in (6, 4))
    fragment = lone.agent.local_username_fragment
    assert lines == [
        f"candidate:2 1 tcp {active} {HOST} 9 typ host tcptype active ufrag {fragment}",
        f"candidate:3 1 tcp {passive_} {HOST} 6001 typ host tcptype passive ufrag {fragment}",
    ]
    assert [event.candidate for event in lone.take(CandidateFound)] == list(lone.agent.local_candidates)


def test_every_candidate_has_a_priority_of_its_own_and_udp_goes_before_tcp() -> None:
    lone = Lone()
    for n in range(2, 11):
        lone.agent.add_local_address((f"192.0.2.{n}", 5001), lone.now)
        lone.agent.add_local_address((f"192.0.2.{n}", 6001), lone.now, TCP)
    candidates = lone.agent.local_candidates
    assert len(candidates) == 30
    assert len({candidate.priority for candidate in candidates}) == 30
    assert len({(candidate.foundation, candidate.host, candidate.tcp_type) for candidate in candidates}) == 30
    of_transport = [[c.priority for c in candidates if c.transport == transport] for transport in ("udp", "tcp")]
    assert min(of_transport[0]) > max(of_transport[1])


def test_off_by_default() -> None:
    lone = Lone(tcp=False)
    assert tcp_candidates(lone.agent) == []
    lone.agent.add_remote_candidate(passive(), lone.now)
    lone.wait(1.0)
    assert lone.requested() == []
    assert lone.agent.statistics.candidates_ignored == 1
    path = lone.accept(("198.51.100.7", 1234))
    assert lone.released() == [StreamReleased(*path)]


def test_with_relays_only_there_are_none() -> None:
    agent = Agent(Configuration(tcp=True), role=Role.CONTROLLING, random_bytes=bytes, relay_only=True)
    agent.gather(0.0)
    agent.add_local_address(PORT, 0.0, TCP)
    assert agent.local_candidates == ()


def test_a_public_address_is_told_of_a_port_as_well() -> None:
    lone = Lone(public_addresses={HOST: "203.0.113.1"})
    (reflexive,) = [c for c in tcp_candidates(lone.agent) if c.type is CandidateType.SERVER_REFLEXIVE]
    assert (reflexive.address, reflexive.tcp_type, reflexive.related_address) == (
        ("203.0.113.1", 6001),
        "passive",
        PORT,
    )
    assert reflexive.priority < min(c.priority for c in lone.agent.local_candidates if c != reflexive)


def test_a_port_that_is_gone_takes_its_candidates_and_pairs_along() -> None:
    lone = Lone()
    lone.agent.add_remote_candidate(passive(), lone.now)
    lone.pull()
    (request,) = lone.requested()
    lone.agent.remove_local_address(PORT, lone.now, TCP)
    assert [candidate.address for candidate in lone.agent.local_candidates] == [SOCKET]
    assert lone.agent.pair_report == ()
    assert lone.take(StreamRequestWithdrawn) == [StreamRequestWithdrawn(request.number)]
    assert lone.accept(("198.51.100.7", 1)) == (PORT, ("198.51.100.7", 1), TCP)
    assert len(lone.released()) == 1


def test_aggressive_nomination_does_not_go_with_it() -> None:
    """Section 8: what is nominated for a moment might lose its stream."""
    with pytest.raises(InvalidArgument, match="section 8"):
        Configuration(tcp=True, nomination="aggressive")


# Pairs (section 6.2).


@pytest.mark.parametrize(
    ("remote", "is_paired"),
    [
        (passive(), True),
        (passive(tcp_type="active"), False),
        (passive(tcp_type="so"), False),
        (passive(tcp_type=None), False),
        (passive(("2001:db8::7", 7001)), False),
        (passive(PORT), False),  # both homes use the same private addresses: that is ourselves
        (passive(component=2), False),
        (passive(username_fragment="another"), False),
    ],
)
def test_what_is_connected_to(remote: Candidate, *, is_paired: bool) -> None:
    lone = Lone()
    lone.agent.add_remote_candidate(remote, lone.now)
    lone.wait(1.0)
    requests = lone.requested()
    assert [(request.local_host, request.remote, request.transport) for request in requests] == (
        [(HOST, PEER, TCP)] if is_paired else []
    )


def test_a_candidate_that_only_connects_is_no_useless_one() -> None:
    lone = Lone()
    lone.agent.add_remote_candidate(passive(("198.51.100.7", 9), tcp_type="active"), lone.now)
    assert lone.agent.statistics.candidates_ignored == 0
    lone.agent.add_remote_candidate(passive(tcp_type="so"), lone.now)
    assert lone.agent.statistics.candidates_ignored == 1


def test_a_late_port_is_paired_as_well() -> None:
    lone = Lone()
    lone.agent.add_remote_candidate(passive(), lone.now)
    lone.agent.add_local_address(("192.0.2.2", 6001), lone.now, TCP)
    lone.wait(1.0)
    assert [request.local_host for request in lone.requested()] == [HOST, "192.0.2.2"]


# Checks (section 7.1).


def test_a_check_is_framed_and_sent_once() -> None:
    lone = Lone(patience=100.0)
    lone.agent.add_remote_candidate(passive(), lone.now)
    assert lone.pull() == []  # nothing leaves before it is connected
    (request,) = lone.requested()
    path = lone.open(request)
    bursts = lone.wait(39.0)
    assert {(burst.local, burst.remote, burst.transport) for burst in bursts} == {path}
    (datagram,) = framed(bursts)
    message = stun.decode_message(datagram)
    assert (message.message_class, message.get(stun.UseCandidate)) == (stun.MessageClass.REQUEST, None)
    # The peer-reflexive candidate that it may find (RFC 8445 section 7.1.1), of RFC 6544 section 4.2.
    assert message.get(stun.Priority) == stun.Priority((80 << 24) + (((6 << 13) + 8191) << 8) + 255)
    (pair,) = lone.agent.pair_report
    assert pair.state is PairState.IN_PROGRESS
    lone.wait(1.0)
    (pair,) = lone.agent.pair_report
    assert (pair.state, pair.detail) == (PairState.FAILED, "timed out after 1 requests")
    assert lone.released() == [StreamReleased(*path)]


def test_an_answer_makes_a_peer_reflexive_candidate_and_a_valid_pair() -> None:
    lone = Lone()
    path = lone.connect()
    assert lone.agent.state is State.COMPLETED
    pair = lone.agent.selected_pair
    assert pair is not None
    assert (pair.local.type, pair.local.address, pair.local.tcp_type) == ("prflx", path[0], "active")
    assert (pair.remote.address, pair.route) == (PEER, "direct")
    lone.agent.send([b"\x80hello", b"\x81" * 1200], lone.now)
    assert framed(lone.pull()) == [b"\x80hello", b"\x81" * 1200]
    lone.bring(path, frame(b"\x80back"))
    assert lone.agent.take_received() == [b"\x80back"]
    assert lone.released() == []


def test_consent_is_asked_over_the_stream_and_never_repeated() -> None:
    lone = Lone()
    lone.connect()
    requests = [stun.decode_message(datagram) for datagram in framed(lone.wait(29.0))]
    assert 4 <= len(requests) <= 8
    assert len({request.transaction_id for request in requests}) == len(requests)
    lone.wait(2.0)
    assert lone.agent.state is State.FAILED


def test_streams_are_connected_at_the_pace_of_checks() -> None:
    lone = Lone()
    for n in range(10):
        lone.agent.add_remote_candidate(passive((f"198.51.100.{n}", 7001), foundation=str(n)), lone.now)
    times = []
    while len(times) < 10:
        lone.pull()
        times += [lone.now] * len(lone.requested())
        lone.now = lone.agent.next_timeout()
    assert all(later - earlier >= 0.05 - 1e-9 for earlier, later in itertools.pairwise(times))


def test_checks_keep_their_pace_when_streams_open_together() -> None:
    lone = Lone()
    for n in range(10):
        lone.agent.add_remote_candidate(passive((f"198.51.100.{n}", 7001), foundation=str(n)), lone.now)
    lone.wait(1.0)
    for n, request in enumerate(lone.requested()):
        lone.open(request, 50000 + n)
    times = []
    for _ in range(30):
        times += [lone.now] * len(framed(lone.pull()))
        if len(times) == 10:
            break
        lone.now = lone.agent.next_timeout()
        lone.agent.handle_timeout(lone.now)
    assert len(times) == 10
    assert all(later - earlier >= 0.05 - 1e-9 for earlier, later in itertools.pairwise(times))


def test_a_stream_that_cannot_be_connected_is_a_failed_check() -> None:
    lone = Lone()
    lone.agent.add_remote_candidate(passive(), lone.now)
    lone.agent.end_of_remote_candidates(lone.now)
    lone.pull()
    (request,) = lone.requested()
    lone.agent.stream_failed(request.number, "connection refused", lone.now)
    (pair,) = lone.agent.pair_report
    assert (pair.state, pair.detail) == (PairState.FAILED, "had no TCP connection (connection refused)")
    assert framed(lone.wait(20.0)) == []
    (failed,) = lone.take(Failed)
    assert "1 pair tried, 1 had no TCP connection" in failed.failure.detail
    lone.agent.stream_failed(request.number, "twice", lone.now)  # again is harmless
    lone.agent.stream_failed(999, "never asked for", lone.now)


@pytest.mark.parametrize("is_ours", [True, False], ids=["one that we made", "one that was accepted"])
def test_a_stream_that_ends_amid_its_check_fails_it(*, is_ours: bool) -> None:
    lone = Lone()
    if is_ours:
        lone.agent.add_remote_candidate(passive(), lone.now)
        lone.pull()
        (request,) = lone.requested()
        path = lone.open(request)
    else:
        path = lone.accept(("198.51.100.7", 1234))
        lone.bring(path, frame(lone.check()))
    (datagram,) = [
        d for d in framed(lone.wait(0.1)) if stun.decode_message(d).message_class is stun.MessageClass.REQUEST
    ]
    lone.agent.stream_closed(*path[:2], lone.now)
    (pair,) = lone.agent.pair_report
    assert (pair.state, pair.detail) == (PairState.FAILED, "its stream has ended")
    lone.bring(path, frame(lone.answer(datagram, path[0])))  # it cannot come any more
    assert lone.agent.state is State.CHECKING
    assert framed(lone.wait(39.0)) == []


def test_an_accepted_stream_is_checked_both_ways() -> None:
    lone = Lone(Role.CONTROLLED)
    source: Address = ("198.51.100.7", 1234)
    path = lone.accept(source)
    lone.bring(path, frame(lone.check(stun.Priority(777), stun.UseCandidate())))
    answer, check = [stun.decode_message(datagram) for datagram in framed(lone.wait(0.1))]
    assert answer.get(stun.XorMappedAddress) == stun.XorMappedAddress(source)
    lone.bring(path, frame(lone.answer(check.raw, PORT)))
    pair = lone.agent.selected_pair
    assert pair is not None
    assert (pair.local.address, pair.local.tcp_type, pair.local.type) == (PORT, "passive", "host")
    assert (pair.remote.address, pair.remote.tcp_type, pair.remote.priority) == (source, "active", 777)
    assert lone.agent.state is State.COMPLETED


def test_a_role_conflict_is_repaired_over_a_stream() -> None:
    lone = Lone(Role.CONTROLLED)
    lone.agent.add_remote_candidate(passive(), lone.now)
    lone.pull()
    (request,) = lone.requested()
    path = lone.open(request)
    (datagram,) = framed(lone.wait(0.1))
    assert stun.decode_message(datagram).get(stun.IceControlled) is not None
    lone.bring(path, frame(lone.answer(datagram, path[0], code=487)))
    (datagram,) = framed(lone.wait(0.1))  # once more, over the same stream
    assert stun.decode_message(datagram).get(stun.IceControlling) is not None
    assert lone.agent.role is Role.CONTROLLING
    assert lone.requested() == []


def test_checks_from_before_the_peer_is_known_wait_with_their_stream() -> None:
    lone = Lone(Role.CONTROLLED, is_known=False)
    path = lone.accept(("198.51.100.7", 1234))
    lone.bring(path, frame(lone.check(stun.Priority(1), stun.UseCandidate())))
    assert len(framed(lone.wait(60.0))) == 1  # the answer
    assert lone.released() == []
    lone.introduce()
    assert lone.answer_all(lone.wait(0.1)) == 1
    assert lone.agent.state is State.COMPLETED

    lone = Lone(Role.CONTROLLED, is_known=False)
    path = lone.accept(("198.51.100.7", 1234))
    lone.bring(path, frame(lone.check()))
    lone.agent.stream_closed(*path[:2], lone.now)
    lone.introduce()
    assert lone.agent.pair_report == ()


# How many streams (section 12), and for how long (sections 8 and 11.1).


def test_a_hundred_ports_of_one_host_are_tried_five_at_a_time() -> None:
    lone = Lone(patience=1000.0)
    for n in range(100):
        lone.agent.add_remote_candidate(passive(("198.51.100.7", 7000 + n), foundation=str(n)), lone.now)
    waiting: list[StreamRequested] = []
    asked: list[Address] = []
    while True:
        lone.wait(1.0)
        new = lone.requested()
        waiting += new
        asked += [request.remote for request in new]
        assert len(waiting) <= 5
        if not waiting:
            break
        lone.agent.stream_failed(waiting.pop(0).number, "no answer", lone.now)
    assert sorted(asked) == [("198.51.100.7", 7000 + n) for n in range(100)]


def test_other_pairs_go_on_meanwhile_and_sixteen_streams_are_connected_in_all() -> None:
    lone = Lone()
    for n in range(60):
        lone.agent.add_remote_candidate(passive((f"198.51.100.{n % 12}", 7000 + n), foundation=str(n)), lone.now)
    lone.agent.add_remote_candidate(Candidate("u", 1, "udp", 1, *PEER, CandidateType.HOST), lone.now)
    bursts = lone.wait(10.0)
    assert len(lone.requested()) == 16
    assert any(burst.remote == PEER for burst in bursts)


def test_what_is_needed_no_more_is_withdrawn_and_closed() -> None:
    lone = Lone()
    for n in range(3):
        lone.agent.add_remote_candidate(passive((f"198.51.100.{n}", 7000), foundation=str(n)), lone.now)
    lone.wait(0.2)
    requests = lone.requested()
    path = lone.open(requests[0])
    lone.wait(0.2)
    stranger = lone.accept(("198.51.100.99", 1))
    lone.agent.add_remote_candidate(Candidate("u", 1, "udp", 2**31 - 1, *PEER, CandidateType.HOST), lone.now)
    lone.agent.end_of_remote_candidates(lone.now)
    for _ in range(3):
        bursts = [burst for burst in lone.wait(0.1) if burst.transport is not TCP]
        lone.answer_all(bursts)
    assert lone.agent.state is State.COMPLETED
    pair = lone.agent.selected_pair
    assert pair is not None
    assert pair.local.transport == "udp"
    lone.take(object)
    withdrawn = [event.number for event in lone.events if isinstance(event, StreamRequestWithdrawn)]
    assert sorted(withdrawn) == [request.number for request in requests[1:]]
    assert StreamReleased(*path) in lone.events
    assert StreamReleased(*stranger) not in lone.events  # it may yet become something
    lone.agent.stream_opened(requests[1].number, (HOST, 50009), lone.now)  # the driver closes it, as it was told
    assert framed(lone.wait(1.0)) == []


def test_closing_lets_go_of_everything() -> None:
    lone = Lone()
    path = lone.connect()
    stranger = lone.accept(("198.51.100.99", 1))
    lone.agent.close(lone.now)
    assert sorted(lone.released(), key=str) == sorted([StreamReleased(*path), StreamReleased(*stranger)], key=str)
    lone.accept(("198.51.100.99", 2))
    assert lone.take(object) == []  # the end is the last word


def test_a_restart_keeps_the_stream_until_another_is_chosen() -> None:
    """Section 9.2."""
    lone = Lone()
    old = lone.connect()
    lone.agent.restart(lone.now)
    lone.agent.end_of_local_addresses(lone.now)
    lone.agent.set_remote_credentials("reep", "p" * 22, lone.now, renomination=True)
    lone.agent.add_remote_candidate(passive(), lone.now)
    lone.agent.end_of_remote_candidates(lone.now)
    lone.wait(0.1)
    (request,) = lone.requested()
    lone.agent.send([b"\x80data"], lone.now)
    (burst,) = [burst for burst in lone.pull() if b"\x80data" in burst.datagrams[0]]
    assert (burst.local, burst.remote) == old[:2]
    new = lone.open(request, 50002)
    for _ in range(3):
        lone.answer_all(lone.wait(0.1))
    assert not lone.agent.is_restarting
    lone.bring(old, frame(b"\x80on its way"))
    assert lone.agent.take_received() == [b"\x80on its way"]
    assert lone.released() == []
    for _ in range(10):
        lone.answer_all(lone.wait(1.0))
    assert lone.released() == [StreamReleased(*old)]
    pair = lone.agent.selected_pair
    assert pair is not None
    assert pair.local.address == new[0]


def test_a_restart_that_is_taken_back_closes_what_it_opened() -> None:
    lone = Lone()
    old = lone.connect()
    lone.agent.restart(lone.now)
    lone.agent.set_remote_credentials("reep", "p" * 22, lone.now)
    for n in range(2):
        lone.agent.add_remote_candidate(passive((f"198.51.100.{n}", 7001), foundation=str(n)), lone.now)
    lone.wait(0.1)
    first, second = lone.requested()
    new = lone.open(first, 50002)
    lone.agent.cancel_restart(lone.now)
    lone.take(object)
    assert StreamReleased(*new) in lone.events
    assert StreamReleased(*old) not in lone.events
    assert StreamRequestWithdrawn(second.number) in lone.events


# A selected pair whose stream ends (section 11.1) is in test_tcp_reconnecting.


def test_selecting_prefers_udp_that_is_a_moment_later() -> None:
    lone = Lone()
    lone.agent.add_remote_candidate(passive(), lone.now)
    lone.agent.add_remote_candidate(Candidate("u", 1, "udp", 2**31 - 1, *PEER, CandidateType.HOST), lone.now)
    lone.wait(0.06)
    path = lone.open(lone.requested()[0])
    bursts = [burst for burst in lone.wait(0.1) if burst.transport is TCP]
    assert lone.answer_all(bursts) == 1
    (selected,) = lone.take(PairSelected)
    assert (selected.pair.local.transport, selected.nominated) == ("tcp", False)
    bursts = lone.wait(0.9)
    assert all(burst.transport is not TCP for burst in bursts)  # nothing is nominated
    for _ in range(3):
        lone.answer_all(bursts[-1:])
        bursts = lone.wait(0.05)
    assert lone.take(PairSelected)[-1].pair.local.transport == "udp"
    assert lone.agent.state is State.COMPLETED
    assert StreamReleased(*path) in lone.events
