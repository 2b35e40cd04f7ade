"""id_tls_id: we say which DTLS association is meant, and take a change of the peer's for what it is (RFC 8842)."""

import random
import re

import pytest

from xp2p_trio.errors import SdpError
from xp2p_trio.peer import Connection, SessionDescription
from xp2p_trio.sdp import data_description, decode_session


def pair():
    return (Connection(random_bytes=random.Random(seed).randbytes) for seed in (1, 2))


def tls_id_of(description):
    return data_description(decode_session(description.sdp)).tls_id


def changed(description, line):
    return SessionDescription(description.type, re.sub(r"a=tls-id:.*\r\n", line, description.sdp))


def exchange(one, other):
    other.set_remote_description(one.set_local_description(None, 0.0), 0.0)
    one.set_remote_description(other.set_local_description(None, 0.0), 0.0)


def test_each_association_has_its_own():
    ids = {tls_id_of(peer.create_offer()) for seed in range(20) for peer in pair() for _ in range(seed % 2 + 1)}
    assert len(ids) == 2, "two peers from two seeds, whatever the number of offers"
    assert all(re.fullmatch(r"[A-Za-z0-9+/_-]{20,255}", tls_id) for tls_id in ids)


def test_an_offer_without_one_is_answered_without_one():
    alice, bob = pair()
    bob.set_remote_description(changed(alice.create_offer(), ""), 0.0)
    assert tls_id_of(bob.create_answer()) is None


def test_later_descriptions_repeat_it():
    alice, bob = pair()
    exchange(alice, bob)
    before = tls_id_of(alice.local_description), tls_id_of(bob.local_description)
    exchange(bob, alice)
    assert (tls_id_of(alice.local_description), tls_id_of(bob.local_description)) == before


def test_a_new_one_asks_for_a_new_association_which_is_refused():
    alice, bob = pair()
    exchange(alice, bob)
    association = bob.dtls_connection
    with pytest.raises(SdpError, match="DTLS association"):
        bob.set_remote_description(changed(alice.create_offer(), "a=tls-id:a-new-one-of-at-least-20\r\n"), 0.0)
    assert bob.dtls_connection is association
