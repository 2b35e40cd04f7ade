"""ICE restart in offer and answer (RFC 8839 section 4.4.1.1.1, RFC 9429 section 4.1.16)."""

import random
import re

import pytest

from xp2p_trio import ice
from xp2p_trio.errors import SdpError
from xp2p_trio.peer import (
    Configuration,
    Connection,
    GatheringState,
    IceCandidate,
    NegotiationNeeded,
    SessionDescription,
    SignalingState,
)

LINE = "candidate:1 1 udp 2130706431 192.0.2.1 4000 typ host"


def connection(seed):
    return Connection(Configuration(), random_bytes=random.Random(seed).randbytes)


def exchange(offerer, answerer):
    offer = offerer.set_local_description(None, 0.0)
    answerer.set_remote_description(offer, 0.0)
    answer = answerer.set_local_description(None, 0.0)
    offerer.set_remote_description(answer, 0.0)
    return offer, answer


@pytest.fixture
def pair():
    alice, bob = connection(1), connection(2)
    exchange(alice, bob)
    for each in (alice, bob):
        each.add_local_address(("192.0.2.1", 4000), 0.0)
        each.end_of_local_addresses(0.0)
        each.take_events()
    return alice, bob


def credentials(description):
    return tuple(re.search(rf"a=ice-{name}:(\S+)", description.sdp)[1] for name in ("ufrag", "pwd"))


def is_wanted(peer):
    return any(isinstance(event, NegotiationNeeded) for event in peer.take_events())


def test_a_restart_is_asked_for_offered_and_answered(pair):
    alice, bob = pair
    before = credentials(alice.local_description), credentials(bob.local_description)
    alice.restart_ice(0.0)
    assert is_wanted(alice)
    assert credentials(alice.local_description) == before[0]  # an offer takes effect when it is set
    offer, answer = exchange(alice, bob)
    for description, old in ((offer, before[0]), (answer, before[1])):
        assert all(new != was for new, was in zip(credentials(description), old, strict=True))
    for peer, description in ((alice, offer), (bob, answer)):
        assert (peer.agent.local_username_fragment, peer.agent.local_password) == credentials(description)
        assert peer.signaling_state is SignalingState.STABLE
        assert peer.gathering_state is GatheringState.IN_PROGRESS
        events = peer.take_events()
        assert any(isinstance(event, ice.AddressesRequested) for event in events)
        assert not any(isinstance(event, NegotiationNeeded) for event in events)
    assert alice.agent.role is ice.Role.CONTROLLING


def test_either_side_may_restart_and_roles_stay(pair):
    alice, bob = pair
    for offerer, answerer in ((bob, alice), (alice, bob), (bob, alice)):
        offerer.restart_ice(0.0)
        exchange(offerer, answerer)
        assert alice.agent.role is ice.Role.CONTROLLING
        assert bob.agent.role is ice.Role.CONTROLLED
        setups = {re.search(r"a=setup:(\S+)", peer.local_description.sdp)[1] for peer in pair}
        assert len(setups) == 2
        assert "actpass" in setups


def test_an_offer_without_a_restart_keeps_the_credentials(pair):
    alice, bob = pair
    before = credentials(alice.local_description), credentials(bob.local_description)
    offer, answer = exchange(alice, bob)
    assert (credentials(offer), credentials(answer)) == before
    assert not alice.agent.is_restarting
    assert alice.gathering_state is GatheringState.COMPLETE


def test_before_there_is_a_connection_nothing_restarts():
    alice = connection(1)
    alice.restart_ice(0.0)
    assert not is_wanted(alice)
    first = credentials(alice.create_offer())
    assert first == (alice.agent.local_username_fragment, alice.agent.local_password)


def test_a_restart_that_is_rolled_back_leaves_everything_as_it_was(pair):
    alice, _bob = pair
    before = alice.local_description
    alice.restart_ice(0.0)
    alice.set_local_description(None, 0.0)
    assert alice.agent.is_restarting
    alice.set_local_description(SessionDescription("rollback"), 0.0)
    assert not alice.agent.is_restarting
    assert alice.local_description == before
    assert alice.agent.local_username_fragment == credentials(before)[0]
    assert is_wanted(alice)  # it is wanted all the same
    assert credentials(alice.create_offer()) != credentials(before)


def test_when_both_offer_a_restart_one_rolls_back_and_answers(pair):
    alice, bob = pair
    for peer in pair:
        peer.restart_ice(0.0)
        peer.set_local_description(None, 0.0)
    bob.set_local_description(SessionDescription("rollback"), 0.0)
    bob.set_remote_description(alice.local_description, 0.0)
    answer = bob.set_local_description(None, 0.0)
    alice.set_remote_description(answer, 0.0)
    for peer in pair:
        assert peer.signaling_state is SignalingState.STABLE
        assert peer.agent.local_username_fragment == credentials(peer.local_description)[0]
        peer.take_events()
    assert not is_wanted(bob)


def test_a_peer_that_does_not_follow_takes_the_restart_back(pair):
    """aiortc answers with its old credentials and candidates."""
    alice, bob = pair
    before = credentials(alice.local_description)
    old_answer = bob.local_description
    alice.restart_ice(0.0)
    assert is_wanted(alice)
    alice.set_local_description(None, 0.0)
    alice.set_remote_description(old_answer, 0.0)
    assert alice.signaling_state is SignalingState.STABLE
    assert not alice.agent.is_restarting
    assert credentials(alice.local_description) == before
    assert alice.agent.local_username_fragment == before[0]
    assert not is_wanted(alice)


def test_an_answer_that_restarts_unasked_is_refused(pair):
    alice, bob = pair
    alice.set_local_description(None, 0.0)
    old = bob.local_description
    fresh = re.sub(r"a=ice-pwd:\S+", f"a=ice-pwd:{'p' * 24}", re.sub(r"a=ice-ufrag:\S+", "a=ice-ufrag:abcd", old.sdp))
    with pytest.raises(SdpError, match="not asked to"):
        alice.set_remote_description(SessionDescription("answer", fresh), 0.0)
    alice.set_remote_description(SessionDescription("answer", old.sdp), 0.0)


@pytest.mark.parametrize("attribute", ["ufrag", "pwd"])
def test_credentials_change_together_or_not_at_all(pair, attribute):
    alice, bob = pair
    offer = alice.create_offer().sdp
    half = re.sub(rf"a=ice-{attribute}:\S+", f"a=ice-{attribute}:{'p' * 24}", offer)
    with pytest.raises(SdpError, match="change together"):
        bob.set_remote_description(SessionDescription("offer", half), 0.0)
    assert bob.signaling_state is SignalingState.STABLE


def test_candidates_of_the_new_generation_wait_for_its_description(pair):
    alice, bob = pair
    alice.restart_ice(0.0)
    offer = alice.set_local_description(None, 0.0)
    early = IceCandidate(LINE.replace("4000", "4001"), username_fragment=credentials(offer)[0])
    bob.set_remote_description(offer, 0.0)
    bob.add_ice_candidate(early, 0.0)
    assert 4001 not in [candidate.port for candidate in bob.agent.remote_candidates]
    answer = bob.set_local_description(None, 0.0)
    assert [candidate.port for candidate in bob.agent.remote_candidates] == [4001]
    trickled = IceCandidate(LINE.replace("4000", "4002"), username_fragment=credentials(answer)[0])
    alice.add_ice_candidate(trickled, 0.0)  # ahead of the answer
    alice.set_remote_description(answer, 0.0)
    assert [candidate.port for candidate in alice.agent.remote_candidates] == [4002]


def test_candidates_of_the_old_generation_are_refused_after_the_restart(pair):
    alice, bob = pair
    old = credentials(bob.local_description)[0]
    alice.restart_ice(0.0)
    exchange(alice, bob)
    with pytest.raises(SdpError, match="generation"):
        alice.add_ice_candidate(IceCandidate(LINE, username_fragment=old), 0.0)
