"""id_dc_parity: ids follow the DTLS role: even for the client, odd for the server; the other's parity is refused."""

from __future__ import annotations

import pytest

from xp2p_trio.datachannel import (
    ChannelArrived,
    ChannelMux,
    ChannelParameters,
    Configuration,
    ResetRequested,
    encode_open,
)
from xp2p_trio.sctp import Message, OutgoingMessage

OPEN = encode_open(ChannelParameters("x").to_open())


def make(*, is_dtls_client: bool) -> ChannelMux:
    mux = ChannelMux(Configuration())
    mux.associate(is_dtls_client=is_dtls_client, outbound_streams=65535, remote_max_message_size=0, now=0.0)
    return mux


@pytest.mark.parametrize("is_dtls_client", [True, False])
def test_our_ids(is_dtls_client: bool) -> None:
    mux = make(is_dtls_client=is_dtls_client)
    ids = [mux.channel(mux.open_channel(ChannelParameters(), 0.0)).stream_id for _ in range(4)]
    assert ids == ([0, 2, 4, 6] if is_dtls_client else [1, 3, 5, 7])


@pytest.mark.parametrize("is_dtls_client", [True, False])
@pytest.mark.parametrize("stream_id", [0, 1, 2, 3, 1000, 1001, 65533, 65534, 65535])
def test_ids_of_the_peer(is_dtls_client: bool, stream_id: int) -> None:
    mux = make(is_dtls_client=is_dtls_client)
    mux.receive([Message(stream_id, 50, OPEN)], 0.0)
    events, messages = mux.take_events(), mux.transmit(0.0, 10)
    if stream_id == 65535:  # no stream at all, so that none can be reset
        assert (events, messages) == ([], [])
    elif (stream_id % 2 == 1) is is_dtls_client:
        assert (events, messages) == ([ChannelArrived(0)], [OutgoingMessage(stream_id, 50, b"\x02")])
    else:
        assert (events, messages) == ([ResetRequested((stream_id,))], [])
        assert mux.statistics.channels_refused == 1


def test_a_refused_stream_is_not_used_until_its_reset_is_done() -> None:
    mux = make(is_dtls_client=True)
    mux.receive([Message(0, 50, OPEN), Message(0, 53, b"x")], 0.0)
    assert mux.take_events() == [ResetRequested((0,))]
    assert mux.channel(mux.open_channel(ChannelParameters(), 0.0)).stream_id == 2
    mux.outgoing_streams_reset((0,), 0.0)
    mux.incoming_streams_reset((0,), 0.0)
    assert mux.channel(mux.open_channel(ChannelParameters(), 0.0)).stream_id == 0
    assert mux.take_received() == []
