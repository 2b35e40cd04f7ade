"""Offer and answer between two connections that never exchange a datagram (RFC 9429)."""

import random
import re

import pytest

from xp2p_trio.errors import InvalidArgument, InvalidState, SdpError
from xp2p_trio.peer import (
    Configuration,
    Connection,
    ConnectionState,
    IceCandidate,
    LocalCandidateFound,
    SessionDescription,
    SignalingState,
)
from xp2p_trio.sdp import data_description, decode_session


def connection(seed=0, **fields):
    return Connection(Configuration(**fields), random_bytes=random.Random(seed).randbytes)


@pytest.fixture
def alice():
    return connection(1)


@pytest.fixture
def bob():
    return connection(2)


LINE = "candidate:1 1 udp 2130706431 192.0.2.1 4000 typ host"
AUDIO = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:audio\r\na=ice-ufrag:other\r\na=sendrecv\r\n"


def behind_audio(offer):
    """The offer of a peer that has audio besides, in the same group and before the data."""
    sdp = offer.sdp.replace("BUNDLE 0", "BUNDLE audio data").replace("a=mid:0", "a=mid:data")
    return SessionDescription("offer", sdp.replace("m=application", AUDIO + "m=application"))


def exchange(offerer, answerer):
    offer = offerer.set_local_description(None, 0.0)
    answerer.set_remote_description(offer, 0.0)
    answer = answerer.set_local_description(None, 0.0)
    offerer.set_remote_description(answer, 0.0)
    return offer, answer


def test_an_exchange_starts_both(alice, bob):
    offer, answer = exchange(alice, bob)
    assert (offer.type, answer.type) == ("offer", "answer")
    assert alice.signaling_state is bob.signaling_state is SignalingState.STABLE
    assert alice.state is bob.state is ConnectionState.CONNECTING
    assert alice.agent.role.name == "CONTROLLING"
    assert bob.agent.role.name == "CONTROLLED"


def test_what_an_offer_says(alice):
    offer = alice.create_offer()
    said = data_description(decode_session(offer.sdp))
    assert said.setup == "actpass"
    assert said.username_fragment == alice.agent.local_username_fragment
    assert said.fingerprints[0].value == alice.certificate.fingerprint().value
    assert (said.sctp_port, said.max_message_size) == (5000, 262144)
    assert alice.signaling_state is SignalingState.STABLE, "creating changes nothing"
    assert alice.local_description is None


def test_the_answerer_is_the_dtls_client(alice, bob):
    _, answer = exchange(alice, bob)
    assert data_description(decode_session(answer.sdp)).setup == "active"
    assert bob.dtls_connection.role.name == "CLIENT"
    assert alice.dtls_connection.role.name == "SERVER"


@pytest.mark.parametrize(("offered", "answered"), [("active", "passive"), ("passive", "active")])
def test_a_fixed_role_in_an_offer_is_respected(alice, bob, offered, answered):
    offer = alice.create_offer().sdp.replace("a=setup:actpass", f"a=setup:{offered}")
    bob.set_remote_description(SessionDescription("offer", offer), 0.0)
    answer = bob.set_local_description(None, 0.0)
    assert data_description(decode_session(answer.sdp)).setup == answered


@pytest.mark.parametrize("value", ["actpass", "holdconn"])
def test_an_answer_must_choose_a_role(alice, bob, value):
    alice.set_local_description(None, 0.0)
    bob.set_remote_description(alice.local_description, 0.0)
    answer = bob.create_answer().sdp.replace("a=setup:active", f"a=setup:{value}")
    with pytest.raises(SdpError, match="setup"):
        alice.set_remote_description(SessionDescription("answer", answer), 0.0)
    assert alice.signaling_state is SignalingState.HAVE_LOCAL_OFFER
    assert alice.state is ConnectionState.NEW


def test_wrong_order_names_the_state_and_the_remedy(alice, bob):
    with pytest.raises(InvalidState, match=r"STABLE.*offer"):
        alice.create_answer()
    offer = alice.set_local_description(None, 0.0)
    with pytest.raises(InvalidState, match=r"HAVE_LOCAL_OFFER.*answer"):
        alice.set_remote_description(offer, 0.0)
    bob.set_remote_description(offer, 0.0)
    with pytest.raises(InvalidState, match=r"HAVE_REMOTE_OFFER.*answer"):
        bob.create_offer()


def test_a_description_that_was_changed_is_refused(alice):
    offer = alice.create_offer()
    with pytest.raises(InvalidArgument, match="unchanged"):
        alice.set_local_description(SessionDescription("offer", offer.sdp.replace("5000", "5001")), 0.0)
    assert alice.signaling_state is SignalingState.STABLE
    assert alice.set_local_description(offer, 0.0) == offer


def test_bad_descriptions_change_nothing(bob):
    for sdp in ("", "v=0", "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n", "\0" * 100_000):
        with pytest.raises(SdpError):
            bob.set_remote_description(SessionDescription("offer", sdp), 0.0)
        assert bob.signaling_state is SignalingState.STABLE
        assert bob.remote_description is None


def test_early_candidates_wait_for_the_description(alice, bob):
    offer = alice.set_local_description(None, 0.0)
    line = "candidate:1 1 udp 2130706431 192.0.2.1 4000 typ host"
    bob.add_ice_candidate(IceCandidate(line, "0", 0, alice.agent.local_username_fragment), 0.0)
    bob.add_ice_candidate(IceCandidate(line.replace("4000", "4001"), "0", 0, "another-generation"), 0.0)
    bob.set_remote_description(offer, 0.0)
    bob.set_local_description(None, 0.0)
    assert [candidate.port for candidate in bob.agent.remote_candidates] == [4000]


def test_candidates_that_make_no_sense_are_told(alice, bob):
    exchange(alice, bob)
    with pytest.raises(SdpError):
        bob.add_ice_candidate(IceCandidate("candidate:nonsense"), 0.0)
    with pytest.raises(SdpError, match="generation"):
        line = "candidate:1 1 udp 2130706431 192.0.2.1 4000 typ host"
        bob.add_ice_candidate(IceCandidate(line, "0", 0, "another"), 0.0)


def test_a_later_offer_keeps_the_transport(alice, bob):
    exchange(alice, bob)
    transport = alice.dtls_connection, bob.dtls_connection
    exchange(bob, alice)
    assert (alice.dtls_connection, bob.dtls_connection) == transport
    roles = [data_description(decode_session(c.local_description.sdp)).setup for c in (alice, bob)]
    assert roles == ["passive", "actpass"], "the answer keeps the roles (RFC 8842 section 5.3)"


def test_an_offer_can_be_rolled_back(alice, bob):
    alice.set_local_description(None, 0.0)
    alice.set_local_description(SessionDescription("rollback"), 0.0)
    assert alice.signaling_state is SignalingState.STABLE
    assert alice.local_description is None
    exchange(bob, alice)
    assert alice.state is ConnectionState.CONNECTING


def test_the_offer_of_a_stranger_is_no_ice_restart(alice, bob):
    exchange(alice, bob)
    stranger = connection(3).create_offer()
    with pytest.raises(SdpError, match="new DTLS association"):
        bob.set_remote_description(stranger, 0.0)
    assert bob.signaling_state is SignalingState.STABLE


def test_session_versions_rise(alice):
    versions = [decode_session(alice.create_offer().sdp).origin.session_version for _ in range(3)]
    assert versions == sorted(set(versions))


def test_credentials_are_not_shown():
    peer = connection(4)
    assert peer.agent.local_password not in repr(peer.create_offer())


def test_an_early_candidate_of_another_generation_does_not_spoil_the_description(alice, bob):
    bob.add_ice_candidate(IceCandidate(f"{LINE} ufrag other"), 0.0)
    bob.add_ice_candidate(IceCandidate(LINE.replace("4000", "4001")), 0.0)
    exchange(alice, bob)
    assert bob.state is ConnectionState.CONNECTING
    assert [candidate.port for candidate in bob.agent.remote_candidates] == [4001]


def test_a_description_without_a_hash_to_trust_changes_nothing(alice, bob):
    weak = "a=fingerprint:sha-1 " + ":".join(["AB"] * 20)
    offer = re.sub(r"a=fingerprint:[^\r]*", weak, alice.create_offer().sdp)
    with pytest.raises(SdpError, match="sha-1"):
        bob.set_remote_description(SessionDescription("offer", offer), 0.0)
    assert bob.signaling_state is SignalingState.STABLE
    assert bob.remote_description is None


def test_a_later_offer_keeps_every_section_of_the_peer(alice, bob):
    """RFC 9429 section 5.2.2: sections keep their place; what was rejected stays so."""
    offer = alice.set_local_description(None, 0.0)
    bob.set_remote_description(behind_audio(offer), 0.0)
    bob.set_local_description(None, 0.0)
    later = decode_session(bob.create_offer().sdp)
    assert [(section.kind, section.port) for section in later.media] == [("audio", 0), ("application", 9)]
    assert [section.attribute("mid").value for section in later.media] == ["audio", "data"]
    assert later.attribute("group").value == "BUNDLE data"
    bob.set_local_description(None, 0.0)
    assert len(decode_session(bob.create_offer().sdp).media) == 2, "also when it replaces an offer"


def test_our_description_stays_as_it_was_applied_while_an_offer_waits(alice, bob):
    offer, answer = exchange(alice, bob)
    bob.set_remote_description(
        SessionDescription("offer", offer.sdp.replace("m=application", AUDIO + "m=application")), 0.0
    )
    bob.create_answer()
    assert bob.local_description == answer


def test_an_answer_to_a_former_offer_is_refused(alice, bob):
    bob.set_remote_description(alice.create_offer(), 0.0)
    answer = bob.create_answer()
    bob.set_remote_description(behind_audio(connection(3).create_offer()), 0.0)
    with pytest.raises(InvalidArgument):
        bob.set_local_description(answer, 0.0)
    assert len(decode_session(bob.set_local_description(None, 0.0).sdp).media) == 2


def test_an_offer_is_rolled_back_from_either_side(alice, bob):
    bob.set_remote_description(alice.set_local_description(None, 0.0), 0.0)
    bob.set_local_description(SessionDescription("rollback"), 0.0)
    alice.set_remote_description(SessionDescription("rollback"), 0.0)
    assert alice.signaling_state is bob.signaling_state is SignalingState.STABLE
    assert alice.local_description is bob.remote_description is None


def test_trickled_candidates_of_other_media_are_skipped(alice, bob):
    bob.set_remote_description(behind_audio(alice.set_local_description(None, 0.0)), 0.0)
    bob.set_local_description(None, 0.0)
    bob.add_ice_candidate(IceCandidate(LINE, "audio", 0, "other"), 0.0)
    bob.add_ice_candidate(IceCandidate("", "audio", 0, "other"), 0.0)
    bob.add_ice_candidate(IceCandidate(LINE.replace("4000", "4001"), "audio", 0), 0.0)
    ours = alice.agent.local_username_fragment
    bob.add_ice_candidate(IceCandidate(LINE.replace("4000", "4002"), "audio", 0, ours), 0.0)
    assert [candidate.port for candidate in bob.agent.remote_candidates] == [4002], "the bundle's are ours"
    with pytest.raises(SdpError, match="generation"):
        bob.add_ice_candidate(IceCandidate("", "data", 1, "former"), 0.0)


def test_candidates_of_a_later_description_are_taken(alice, bob):
    bob.set_remote_description(alice.set_local_description(None, 0.0), 0.0)
    answer = bob.create_answer().sdp
    alice.set_remote_description(SessionDescription("pranswer", answer), 0.0)
    alice.set_remote_description(SessionDescription("answer", f"{answer}a={LINE}\r\n"), 0.0)
    assert [candidate.port for candidate in alice.agent.remote_candidates] == [4000]


def test_a_later_offer_that_turns_the_roles_around_is_refused(alice, bob):
    exchange(alice, bob)
    offer = alice.create_offer().sdp
    with pytest.raises(SdpError, match="setup:active"):
        bob.set_remote_description(SessionDescription("offer", offer.replace("actpass", "active")), 0.0)
    bob.set_remote_description(SessionDescription("offer", offer.replace("actpass", "passive")), 0.0)
    assert data_description(decode_session(bob.create_answer().sdp)).setup == "active"


def test_a_new_association_is_refused(alice, bob):
    exchange(alice, bob)
    with pytest.raises(SdpError, match="SCTP association"):
        bob.set_remote_description(
            SessionDescription("offer", alice.create_offer().sdp.replace("sctp-port:5000", "sctp-port:5001")), 0.0
        )
    assert bob.signaling_state is SignalingState.STABLE


def test_a_section_without_a_mid_is_named_by_its_index(alice, bob):
    offer = re.sub(r"a=(mid|group):[^\r]*\r\n", "", alice.create_offer().sdp)
    bob.set_remote_description(SessionDescription("offer", offer), 0.0)
    bob.set_local_description(None, 0.0)
    bob.add_local_address(("192.0.2.2", 4000), 0.0)
    [found] = [event.candidate for event in bob.take_events() if isinstance(event, LocalCandidateFound)]
    assert (found.sdp_mid, found.sdp_mline_index) == (None, 0)


def test_a_mid_that_cannot_be_repeated_is_told_at_once(bob, alice):
    offer = behind_audio(alice.create_offer()).sdp.replace("a=mid:audio", "a=mid:a b")
    with pytest.raises(SdpError, match="mid"):
        bob.set_remote_description(SessionDescription("offer", offer), 0.0)
    assert bob.signaling_state is SignalingState.STABLE


@pytest.mark.parametrize("options", ["trickle ice2", "trickle", "ice2 renomination", "ice2 whatever"])
def test_an_answer_has_the_ice_options_of_the_offer(alice, bob, options):
    offer = alice.create_offer().sdp.replace("trickle ice2 renomination", options)
    bob.set_remote_description(SessionDescription("offer", offer), 0.0)
    said = data_description(decode_session(bob.create_answer().sdp)).ice_options
    assert set(said) == set(options.split()) & {"trickle", "ice2", "renomination"}
