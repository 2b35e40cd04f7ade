"""Restarts that meet: pending, rolled back, refused, provisional, and the candidates of each (RFC 8839, 8838, 9429)."""

import random
import re

import pytest

from xp2p_trio import ice
from xp2p_trio.errors import SdpError
from xp2p_trio.peer import (
    ConnectionState,
    GatheringState,
    GatheringStateChanged,
    IceCandidate,
    LocalCandidateFound,
    NegotiationNeeded,
    SessionDescription,
    SignalingState,
)
from xp2p_trio.testing import Link, Peers

LINE = "candidate:1 1 udp 2130706431 192.0.2.9 {} typ host"


def fragment(description):
    return re.search(r"a=ice-ufrag:(\S+)", description.sdp)[1]


def connected():
    peers = Peers()
    peers.connect(timeout=10.0)
    peers.run(timeout=1.0)
    return peers


def offer(peer, now, *, restarts=True):
    if restarts:
        peer.restart_ice(now)
    return peer.set_local_description(None, now)


def answer(peer, description, now):
    peer.set_remote_description(description, now)
    return peer.set_local_description(None, now)


def restart(peers, offerer=None, answerer=None):
    offerer, answerer = offerer or peers.alice, answerer or peers.bob
    offerer.set_remote_description(answer(answerer, offer(offerer, peers.now), peers.now), peers.now)


def assert_well(peers):
    peers.run(timeout=3.0)
    for one, other in ((peers.alice, peers.bob), (peers.bob, peers.alice)):
        assert one.state is ConnectionState.CONNECTED
        assert one.signaling_state is SignalingState.STABLE
        assert not one.agent.is_restarting
        assert one.agent.state is ice.State.COMPLETED
        assert fragment(one.remote_description) == other.agent.local_username_fragment
        assert fragment(one.local_description) == one.agent.local_username_fragment


def ports(agent):
    return [candidate.port for candidate in agent.remote_candidates if candidate.host == "192.0.2.9"]


# One restart after another.


def test_a_restart_while_another_is_under_way_does_not_undo_it():
    """Bob is done with the second generation, Alice not; then she offers a third. Going back to the first would be
    going back to one that Bob does not answer any more."""
    peers = connected()
    restart(peers)
    peers.run(lambda: not peers.bob.agent.is_restarting, timeout=3.0)
    assert peers.alice.agent.is_restarting
    second = fragment(peers.alice.local_description)
    third = offer(peers.alice, peers.now)
    assert fragment(third) != second
    for _ in range(20):
        peers.run(timeout=3.0)
        assert peers.alice.state is ConnectionState.CONNECTED
        assert peers.bob.state is ConnectionState.CONNECTED
    peers.alice.set_local_description(SessionDescription("rollback"), peers.now)
    assert peers.alice.agent.local_username_fragment == second
    assert_well(peers)


def test_an_offer_that_is_replaced_takes_its_restart_along():
    peers = connected()
    first = fragment(peers.alice.local_description)
    seen = {fragment(offer(peers.alice, peers.now)) for _ in range(5)}
    assert len(seen) == 5
    peers.alice.set_local_description(SessionDescription("rollback"), peers.now)
    assert peers.alice.agent.local_username_fragment == first
    restart(peers)
    assert_well(peers)


def test_restarts_in_a_row_before_any_is_done():
    peers = connected()
    for number in range(12):
        restart(peers, *((peers.alice, peers.bob) if number % 2 else (peers.bob, peers.alice)))
        peers.run(timeout=0.01 * number)
    assert_well(peers)


def test_a_restart_before_the_connection_is_there():
    for delay in (0.0, 0.01, 0.03, 0.06, 0.1, 0.15):
        peers = Peers(link=Link(delay=0.02))
        peers.negotiate()
        peers.run(timeout=delay)
        assert peers.alice.state is ConnectionState.CONNECTING
        restart(peers)
        assert_well(peers)


def test_a_restart_that_is_never_answered_before_the_connection_is_there():
    peers = Peers(link=Link(delay=0.02))
    peers.negotiate()
    peers.run(timeout=0.03)
    offer(peers.alice, peers.now)
    peers.run(timeout=5.0)
    assert [peer.state for peer in (peers.alice, peers.bob)] == [ConnectionState.CONNECTED] * 2
    peers.run(timeout=100.0)
    assert [peer.state for peer in (peers.alice, peers.bob)] == [ConnectionState.CONNECTED] * 2


# Peers that do not follow.


def test_a_peer_that_answers_as_before_can_be_asked_again():
    peers = connected()
    old = peers.bob.local_description
    for _ in range(3):
        before = fragment(peers.alice.local_description)
        offer(peers.alice, peers.now)
        peers.alice.set_remote_description(SessionDescription("answer", old.sdp), peers.now)
        assert fragment(peers.alice.local_description) == before
        assert not peers.alice.agent.is_restarting
        peers.run(timeout=10.0)
    assert_well(peers)
    restart(peers)
    assert_well(peers)


def test_a_provisional_answer_that_restarts_and_the_answer_behind_it():
    peers = connected()
    final = answer(peers.bob, offer(peers.alice, peers.now), peers.now)
    peers.alice.set_remote_description(SessionDescription("pranswer", final.sdp), peers.now)
    assert peers.alice.agent.state is ice.State.CHECKING
    peers.alice.set_remote_description(final, peers.now)
    assert_well(peers)


@pytest.mark.parametrize("provisional", ["old", "new"])
def test_an_answer_by_other_credentials_than_the_provisional_one_is_refused_and_changes_nothing(provisional):
    """It would be that of somebody else (RFC 9429 section 5.11: forks), who has no DTLS association with us."""
    peers = connected()
    old = peers.bob.local_description
    final = answer(peers.bob, offer(peers.alice, peers.now), peers.now)
    if provisional == "new":
        other = re.sub(r"a=ice-ufrag:\S+", "a=ice-ufrag:abcd", final.sdp)
        first, then = final.sdp, re.sub(r"a=ice-pwd:\S+", "a=ice-pwd:" + "p" * 24, other)
    else:
        first, then = final.sdp, old.sdp
    peers.alice.set_remote_description(SessionDescription("pranswer", first), peers.now)
    with pytest.raises(SdpError, match="provisional"):
        peers.alice.set_remote_description(SessionDescription("answer", then), peers.now)
    assert peers.alice.signaling_state is SignalingState.HAVE_REMOTE_PRANSWER
    peers.alice.set_remote_description(final, peers.now)
    assert_well(peers)


# Candidates, each of its own generation.


def test_a_late_candidate_of_the_generation_in_use_stays_with_it():
    """The peer told it before it knew of our restart. Without its fragment in the line, it says so beside it."""
    peers = connected()
    bob = peers.bob.agent.local_username_fragment
    pending = offer(peers.alice, peers.now)
    peers.alice.add_ice_candidate(IceCandidate(LINE.format(4001), username_fragment=bob), peers.now)
    peers.alice.set_remote_description(answer(peers.bob, pending, peers.now), peers.now)
    assert ports(peers.alice.agent) == []
    assert_well(peers)


def test_candidates_of_a_restart_that_was_rolled_back_are_forgotten():
    peers = connected()
    offer(peers.alice, peers.now)
    for port in range(1000, 1200):
        peers.alice.add_ice_candidate(IceCandidate(LINE.format(port), username_fragment="none"), peers.now)
    peers.alice.set_local_description(SessionDescription("rollback"), peers.now)
    pending = offer(peers.alice, peers.now)
    reply = answer(peers.bob, pending, peers.now)
    peers.alice.add_ice_candidate(IceCandidate(LINE.format(4001), username_fragment=fragment(reply)), peers.now)
    peers.alice.add_ice_candidate(IceCandidate(LINE.format(4002)), peers.now)
    peers.alice.set_remote_description(reply, peers.now)
    assert set(ports(peers.alice.agent)) == {4001, 4002}
    assert_well(peers)


@pytest.mark.parametrize("says", ["nothing", "the generation in use", "the new generation"])
def test_the_end_of_candidates_is_that_of_one_generation(says):
    """Before the answer, one that says nothing is of the generation in use: the peer's signals come in order."""
    peers = connected()
    bob = peers.bob.agent.local_username_fragment
    reply = answer(peers.bob, offer(peers.alice, peers.now), peers.now)
    name = {"nothing": None, "the generation in use": bob, "the new generation": fragment(reply)}[says]
    end = IceCandidate("", username_fragment=name)
    peers.alice.add_ice_candidate(end if name else None, peers.now)
    trickled = SessionDescription("answer", re.sub(r"a=(candidate|end-of-candidates).*\r\n", "", reply.sdp))
    alice, now = peers.alice, peers.now
    alice.set_remote_description(trickled, now)
    alice.end_of_local_addresses(now)
    # Alone. As long as candidates may come, Alice is patient for as long as RFC 8863 wants; else for 10 s.
    while not alice.is_over:
        while alice.transmit(now, 64):
            pass
        now = alice.next_timeout()
        alice.handle_timeout(now)
    assert (now < peers.now + 35.0) is (says == "the new generation")


def test_our_candidates_are_told_with_the_generation_that_they_are_of():
    """Also those that nobody has asked for before the restart."""
    peers = Peers()
    alice = peers.alice
    alice.set_local_description(None, 0.0)
    alice.add_local_address(("192.0.2.1", 4000), 0.0)
    first = alice.agent.local_username_fragment
    alice.set_remote_description(answer(peers.bob, alice.local_description, 0.0), 0.0)
    second = fragment(offer(alice, 0.0))
    told = [event.candidate for event in alice.take_events() if isinstance(event, LocalCandidateFound)]
    assert [candidate.username_fragment for candidate in told] == [first, second]


def test_gathering_that_ends_before_a_restart_is_told_before_it():
    peers = Peers()
    alice = peers.alice
    alice.set_local_description(None, 0.0)
    alice.add_local_address(("192.0.2.1", 4000), 0.0)
    alice.set_remote_description(answer(peers.bob, alice.local_description, 0.0), 0.0)
    alice.end_of_local_addresses(0.0)
    offer(alice, 0.0)
    states = [event.state for event in alice.take_events() if isinstance(event, GatheringStateChanged)]
    assert states == [GatheringState.IN_PROGRESS, GatheringState.COMPLETE, GatheringState.IN_PROGRESS]
    assert alice.gathering_state is GatheringState.IN_PROGRESS


def test_an_offer_that_the_answer_to_another_has_made_needless_is_wanted_no_more():
    peers = connected()
    for peer in (peers.alice, peers.bob):
        peer.take_events()
        peer.restart_ice(peers.now)
    pending = peers.alice.set_local_description(None, peers.now)
    assert peers.bob.is_offer_wanted
    answer(peers.bob, pending, peers.now)
    assert not peers.bob.is_offer_wanted
    assert sum(isinstance(event, NegotiationNeeded) for event in peers.bob.take_events()) == 1


def test_random_exchanges_end_in_one_generation():
    """Offers, answers, rollbacks and provisional answers of both sides in any legal order, with time between them."""
    for seed in range(30):
        draw = random.Random(seed)
        peers = connected()
        sides = (peers.alice, peers.bob)
        for _ in range(30):
            one, other = draw.sample(sides, 2)
            now = peers.now
            step = draw.choice(["offer", "re-offer", "rollback", "exchange", "pranswer", "wait"])
            pending = one.signaling_state is SignalingState.HAVE_LOCAL_OFFER
            if step in ("offer", "re-offer") and one.signaling_state in (
                SignalingState.STABLE,
                SignalingState.HAVE_LOCAL_OFFER,
            ):
                offer(one, now, restarts=step == "offer")
            elif step == "rollback" and pending:
                one.set_local_description(SessionDescription("rollback"), now)
            elif step in ("exchange", "pranswer") and pending:
                if other.signaling_state is SignalingState.HAVE_LOCAL_OFFER:
                    other.set_local_description(SessionDescription("rollback"), now)
                reply = answer(other, one.local_description, now)
                if step == "pranswer":
                    one.set_remote_description(SessionDescription("pranswer", reply.sdp), now)
                    peers.run(timeout=draw.random())
                one.set_remote_description(reply, peers.now)
            peers.run(timeout=draw.choice([0.0, 0.01, 0.05, 2.0]))
            assert {side.state for side in sides} == {ConnectionState.CONNECTED}
        for side in sides:
            if side.signaling_state is SignalingState.HAVE_LOCAL_OFFER:
                side.set_local_description(SessionDescription("rollback"), peers.now)
        assert_well(peers)
