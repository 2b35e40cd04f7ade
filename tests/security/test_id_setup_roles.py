"""id_setup_roles: actpass is offered, active or passive answered, holdconn and the unknown refused, roles kept."""

import itertools
import random

import pytest

from xp2p_trio.errors import SdpError
from xp2p_trio.peer import Connection, SessionDescription, SignalingState
from xp2p_trio.sdp import data_description, decode_session

VALUES = ("actpass", "active", "passive", "holdconn", "fruit")
ANSWERS = {"actpass": "active", "active": "passive", "passive": "active"}  # RFC 8842 section 5.3


def pair():
    return (Connection(random_bytes=random.Random(seed).randbytes) for seed in (1, 2))


def setup_of(description):
    return str(data_description(decode_session(description.sdp)).setup)


def with_setup(description, value):
    return SessionDescription(
        description.type, description.sdp.replace(f"a=setup:{setup_of(description)}", f"a=setup:{value}")
    )


@pytest.mark.parametrize("value", VALUES)
def test_offers(value):
    alice, bob = pair()
    offer = alice.create_offer()
    assert setup_of(offer) == "actpass"
    if value in ANSWERS:
        bob.set_remote_description(with_setup(offer, value), 0.0)
        assert setup_of(bob.create_answer()) == ANSWERS[value]
    else:
        with pytest.raises(SdpError, match="setup"):
            bob.set_remote_description(with_setup(offer, value), 0.0)
        assert bob.signaling_state is SignalingState.STABLE


@pytest.mark.parametrize("value", VALUES)
def test_answers(value):
    alice, bob = pair()
    bob.set_remote_description(alice.set_local_description(None, 0.0), 0.0)
    answer = with_setup(bob.create_answer(), value)
    if value in ("active", "passive"):
        alice.set_remote_description(answer, 0.0)
        assert alice.dtls_connection.role.name == ("SERVER" if value == "active" else "CLIENT")
    else:
        with pytest.raises(SdpError, match="setup"):
            alice.set_remote_description(answer, 0.0)
        assert alice.dtls_connection is None


@pytest.mark.parametrize(("first", "offerers"), list(itertools.product((0, 1), itertools.product((0, 1), repeat=3))))
def test_later_exchanges_keep_the_roles(first, offerers):
    peers = list(pair())

    def exchange(offerer):
        one, other = peers[offerer], peers[1 - offerer]
        other.set_remote_description(one.set_local_description(None, 0.0), 0.0)
        one.set_remote_description(other.set_local_description(None, 0.0), 0.0)

    exchange(first)
    before = [(peer.dtls_connection, peer.dtls_connection.role) for peer in peers]
    for offerer in offerers:
        exchange(offerer)
        assert [(peer.dtls_connection, peer.dtls_connection.role) for peer in peers] == before


@pytest.mark.parametrize("wrong", ["active", "passive"])
def test_a_later_answer_cannot_turn_the_roles_around(wrong):
    alice, bob = pair()
    bob.set_remote_description(alice.set_local_description(None, 0.0), 0.0)
    alice.set_remote_description(bob.set_local_description(None, 0.0), 0.0)
    role = alice.dtls_connection.role
    bob.set_remote_description(alice.set_local_description(None, 0.0), 0.0)
    answer = with_setup(bob.create_answer(), wrong)
    if wrong == "passive":  # bob was active
        with pytest.raises(SdpError, match="role"):
            alice.set_remote_description(answer, 0.0)
    else:
        alice.set_remote_description(answer, 0.0)
    assert alice.dtls_connection.role is role
