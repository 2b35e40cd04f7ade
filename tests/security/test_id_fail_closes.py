"""id_fail_closes: failed is the end: nothing is sent but the alert, nothing is delivered, no timer runs."""

import math

import pytest

from xp2p_trio.datachannel import ChannelParameters
from xp2p_trio.errors import InvalidState, LocalError
from xp2p_trio.peer import ConnectionState, SessionDescription
from xp2p_trio.sansio import Failed
from xp2p_trio.testing import BLACK_HOLE, Link, Peers, connect_peers


def broken_identity():
    """Bob is told of another certificate than alice has."""
    peers = Peers(link=Link(delay=0.01))
    offer = peers.alice.set_local_description(None, 0.0)
    mark = "a=fingerprint:sha-256 "
    start = offer.sdp.index(mark) + len(mark)
    digit = "0" if offer.sdp[start] != "0" else "1"
    forged = SessionDescription("offer", offer.sdp[:start] + digit + offer.sdp[start + 1 :])
    peers.bob.set_remote_description(forged, 0.0)
    peers.alice.set_remote_description(peers.bob.set_local_description(None, 0.0), 0.0)
    return peers


def lost_path():
    peers = connect_peers(link=Link(delay=0.01))
    peers.network.set_links("alice", "bob", BLACK_HOLE)
    return peers


@pytest.mark.parametrize("make", [broken_identity, lost_path])
def test_a_failed_connection_is_inert(make):
    peers = make()
    channel_id = peers.bob.create_data_channel(ChannelParameters(label="c"), peers.now)
    peers.bob.send([(channel_id, "secret")], peers.now)
    peers.run(lambda: peers.bob.is_over and peers.alice.is_over, timeout=120)
    assert peers.bob.state is ConnectionState.FAILED
    assert isinstance(peers.events["bob"][-1], Failed)
    assert sum(isinstance(event, Failed) for event in peers.events["bob"]) == 1
    assert peers.alice.take_received() == []

    peers.network.set_links("alice", "bob", Link())
    sent = peers.network.statistics.sent
    with pytest.raises(InvalidState):
        peers.bob.send([(channel_id, "more")], peers.now)
    with pytest.raises(LocalError):
        peers.bob.create_data_channel(ChannelParameters(label="d"), peers.now)
    peers.bob.close(peers.now)
    peers.bob.abort(peers.now)
    assert peers.bob.next_timeout() == math.inf
    peers.run(timeout=100)
    peers.bob.handle_timeout(peers.now + 1000)
    assert peers.bob.transmit(peers.now + 1000, 64) == []
    assert peers.bob.take_events() == []
    assert peers.network.statistics.sent == sent
