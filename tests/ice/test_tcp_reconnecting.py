"""What becomes of a selected pair whose TCP stream ends (RFC 6544 section 11.1)."""

from __future__ import annotations

import itertools

import pytest

from tests.ice.lone import HOST, PEER, PORT, TCP, Lone, frame, framed, passive
from xp2p_trio import stun
from xp2p_trio.errors import Reason
from xp2p_trio.ice import (
    Candidate,
    CandidateType,
    PairSelected,
    PathLost,
    PathRecovered,
    Role,
    State,
    StreamReleased,
    StreamRequested,
)
from xp2p_trio.sansio import Address, Failed

SOURCE: Address = ("198.51.100.7", 1234)


def accepted(lone: Lone, source: Address = SOURCE) -> tuple[Address, Address, object]:
    """Connected over a stream that the peer made."""
    path = lone.accept(source)
    lone.bring(path, frame(lone.check(stun.Priority(777), stun.UseCandidate())))
    for _ in range(3):
        lone.answer_all(lone.wait(0.5))
    assert lone.agent.state is State.COMPLETED
    lone.take(object)
    return path


@pytest.mark.parametrize("role", Role)
def test_the_active_side_connects_anew_and_data_goes_on_once_that_is_checked(role: Role) -> None:
    lone = Lone(role)
    path = lone.connect()
    if role is Role.CONTROLLED:
        lone.bring(path, frame(lone.check(stun.Priority(1), stun.UseCandidate())))
        lone.answer_all(lone.wait(0.1))
    assert lone.agent.state is State.COMPLETED
    lone.take(object)
    lone.agent.stream_closed(*path[:2], lone.now)
    assert lone.take(PathLost) == [PathLost()]
    lone.wait(0.06)
    (request,) = lone.requested()
    assert (request.local_host, request.remote, request.transport) == (HOST, PEER, TCP)

    lone.agent.send([b"\x80lost"], lone.now)
    assert framed(lone.pull()) == []
    again = lone.open(request, 50002)
    lone.agent.send([b"\x80lost"], lone.now)
    bursts = lone.wait(0.1)
    assert {(burst.local, burst.remote) for burst in bursts} == {again[:2]}
    assert all(datagram[0] <= 3 for datagram in framed(bursts))
    lone.bring(again, frame(lone.check()) + frame(b"\x80early"))
    assert lone.agent.take_received() == []

    assert lone.answer_all(bursts) == 1
    assert lone.agent.take_received() == [b"\x80early"]
    news = lone.take(PathRecovered | PairSelected)
    assert PathRecovered() in news
    selected = next(event for event in news if isinstance(event, PairSelected))
    assert selected.pair.local.address == again[0]
    lone.agent.send([b"\x80on"], lone.now)
    bursts = lone.pull()
    assert b"\x80on" in framed(bursts)
    lone.answer_all(bursts)
    for _ in range(40):
        lone.answer_all(lone.wait(1.0))
    assert lone.agent.state is State.COMPLETED
    assert [pair.remote.address for pair in lone.agent.pair_report if pair.is_valid] == [PEER]


def test_the_new_stream_is_nominated_where_a_second_nomination_is_understood() -> None:
    lone = Lone(Role.CONTROLLING)
    path = lone.connect()
    lone.agent.stream_closed(*path[:2], lone.now)
    lone.wait(0.06)
    lone.open(lone.requested()[-1], 50002)
    lone.answer_all(lone.wait(0.1))
    (datagram,) = framed(lone.wait(0.1))
    assert stun.decode_message(datagram).get(stun.UseCandidate) is not None


def test_a_nomination_that_a_full_buffer_has_swallowed_is_made_again() -> None:
    lone = Lone(Role.CONTROLLING)
    lone.agent.add_remote_candidate(passive(), lone.now)
    lone.agent.end_of_remote_candidates(lone.now)
    lone.pull()
    lone.open(lone.requested()[0])
    lone.answer_all(lone.wait(0.1))
    (nomination,) = framed(lone.wait(0.01))
    assert stun.decode_message(nomination).get(stun.UseCandidate) is not None
    for _ in range(50):
        lone.answer_all(lone.wait(1.0))
    assert lone.agent.state is State.COMPLETED


def test_it_is_tried_at_longer_and_longer_intervals_until_consent_ends() -> None:
    lone = Lone()
    path = lone.connect()
    last_answer = lone.now
    lone.agent.stream_closed(*path[:2], lone.now)
    tried_at = []
    while lone.agent.state is not State.FAILED:
        lone.pull()
        for event in lone.requested():
            tried_at.append(lone.now)
            lone.agent.stream_failed(event.number, "connection refused", lone.now)
        lone.now = lone.agent.next_timeout()
        lone.agent.handle_timeout(lone.now)
        assert lone.now <= last_answer + 30.1
    waits = [later - earlier for earlier, later in itertools.pairwise(tried_at)]
    assert [round(wait) for wait in waits] == [1, 2, 4, 8]
    lone.take(object)
    last = lone.events[-1]
    assert isinstance(last, Failed)
    assert last.failure.reason is Reason.CONSENT_EXPIRED


def test_a_stream_that_ends_again_and_again_does_not_make_more_than_one_of_them() -> None:
    lone = Lone()
    path = lone.connect()
    lone.take(object)
    for n in range(50):
        lone.agent.stream_closed(*path[:2], lone.now)
        lone.wait(0.1)
        (request,) = lone.requested()
        path = lone.open(request, 50010 + n)
        assert lone.answer_all(lone.wait(0.1)) >= 1
        assert lone.agent.selected_pair is not None
        assert lone.agent.selected_pair.local.address == path[0]
    assert len(lone.agent.pair_report) <= 2
    assert len(lone.agent.local_candidates) <= 5
    assert len(lone.agent.remote_candidates) == 1


def test_another_pair_that_works_takes_over_and_nothing_is_connected() -> None:
    lone = Lone(Role.CONTROLLED)
    path = lone.connect()
    other: Address = ("198.51.100.7", 9001)
    lone.agent.add_remote_candidate(Candidate("u", 1, "udp", 5, *other, CandidateType.HOST), lone.now)
    lone.answer_all(lone.wait(1.0))
    lone.bring(path, frame(lone.check(stun.Priority(1), stun.UseCandidate())))
    lone.answer_all(lone.wait(0.1))
    lone.take(object)
    selected = lone.agent.selected_pair
    assert selected is not None
    assert selected.local.transport == "tcp"  # as it was nominated
    lone.agent.stream_closed(*path[:2], lone.now)
    assert lone.agent.selected_pair is not None
    assert lone.agent.selected_pair.remote.address == other
    lone.wait(3.0)
    assert lone.requested() == []


def test_the_passive_side_waits_for_the_peer_to_connect_anew() -> None:
    lone = Lone(Role.CONTROLLED)
    path = accepted(lone)
    lone.agent.stream_closed(path[0], path[1], lone.now)
    assert lone.take(PathLost) == [PathLost()]
    assert framed(lone.wait(10.0)) == []
    assert lone.take(StreamRequested) == []
    again = lone.accept(("198.51.100.7", 4321))
    lone.bring(again, frame(lone.check(stun.Priority(777))))
    assert lone.answer_all(lone.wait(0.1)) == 1
    assert PathRecovered() in lone.take(object)
    lone.agent.send([b"\x80"], lone.now)
    assert framed(lone.pull()) == [b"\x80"]


def test_a_peer_that_reconnects_often_is_never_one_candidate_too_many() -> None:
    lone = Lone(Role.CONTROLLED)
    path = accepted(lone)
    for n in range(100):
        lone.agent.stream_closed(path[0], path[1], lone.now)
        path = lone.accept(("198.51.100.7", 2000 + n))
        lone.bring(path, frame(lone.check(stun.Priority(777))))
        assert lone.answer_all(lone.wait(0.1)) >= 1
        assert lone.agent.selected_pair is not None
        assert lone.agent.selected_pair.remote.port == 2000 + n
    assert len(lone.agent.remote_candidates) <= 2
    assert len(lone.agent.pair_report) <= 2


def test_the_same_two_addresses_once_more_are_another_stream() -> None:
    """The end of the one before was lost, and the peer's system uses the port again."""
    lone = Lone(Role.CONTROLLED)
    accepted(lone)
    again = lone.accept(SOURCE)
    assert lone.take(PathLost) == [PathLost()]
    assert not any(isinstance(event, StreamReleased) for event in lone.events)
    lone.agent.send([b"\x80lost"], lone.now)
    assert framed(lone.pull()) == []
    lone.bring(again, frame(lone.check(stun.Priority(777))))
    assert lone.answer_all(lone.wait(0.1)) == 1
    assert PathRecovered() in lone.take(object)


def test_a_full_check_list_does_not_push_out_the_pair_that_waits_for_its_stream() -> None:
    lone = Lone(Role.CONTROLLED, max_pairs=4)
    path = accepted(lone)
    lone.agent.stream_closed(path[0], path[1], lone.now)
    for n in range(20):
        lone.agent.add_remote_candidate(
            Candidate(str(n), 1, "udp", 2**31 - 1 - n, "198.51.100.9", 9000 + n, CandidateType.HOST), lone.now
        )
    assert lone.agent.selected_pair is not None
    assert lone.agent.selected_pair.remote.address in [pair.remote.address for pair in lone.agent.pair_report]


def test_an_interface_that_is_gone_is_not_connected_from() -> None:
    lone = Lone()
    path = lone.connect()
    lone.take(object)
    lone.agent.remove_local_address(PORT, lone.now, TCP)
    lone.agent.stream_closed(*path[:2], lone.now)
    lone.wait(20.0)
    assert lone.requested() == []
    assert StreamReleased(*path) in [*lone.events, StreamReleased(*path)]


def test_after_the_end_nothing_is_connected() -> None:
    lone = Lone()
    path = lone.connect()
    lone.agent.close(lone.now)
    lone.agent.stream_closed(*path[:2], lone.now)
    lone.wait(60.0)
    assert lone.requested() == []
    assert lone.agent.state is State.CLOSED


def test_two_candidates_of_the_peer_go_on_without_its_first_stream() -> None:
    lone = Lone()
    lone.agent.add_remote_candidate(passive(), lone.now)
    lone.agent.add_remote_candidate(passive(("198.51.100.8", 7001), 900, foundation="u"), lone.now)
    lone.wait(0.2)
    first, second = (lone.open(request, 50001 + n) for n, request in enumerate(lone.requested()))
    for _ in range(3):
        lone.answer_all(lone.wait(0.05))
    assert lone.agent.state is State.CONNECTED  # better ones may come
    lone.agent.stream_closed(*first[:2], lone.now)
    assert lone.agent.selected_pair is not None
    assert lone.agent.selected_pair.local.address == second[0]
