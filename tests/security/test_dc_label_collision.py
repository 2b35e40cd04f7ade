"""dc_label_collision: an id is free only after both directions are reset; equal labels never mix."""

from __future__ import annotations

import itertools

import pytest

from tests.datachannel.model import Pair
from xp2p_trio.datachannel import ChannelClosed, ChannelMux, ChannelParameters, Configuration, ResetRequested


@pytest.mark.parametrize("order", list(itertools.permutations(["incoming", "outgoing"])))
def test_an_id_is_free_after_both_resets(order: tuple[str, str]) -> None:
    mux = ChannelMux(Configuration())
    mux.associate(is_dtls_client=True, outbound_streams=65535, remote_max_message_size=0, now=0.0)
    first = mux.open_channel(ChannelParameters("x"), 0.0)
    mux.transmit(0.0, 10)
    mux.close_channel(first, 0.0)
    assert mux.take_events() == [ResetRequested((0,))]
    step = {"incoming": mux.incoming_streams_reset, "outgoing": mux.outgoing_streams_reset}
    step[order[0]]((0,), 0.0)
    second = mux.open_channel(ChannelParameters("x"), 0.0)
    assert mux.channel(second).stream_id == 2
    step[order[1]]((0,), 0.0)
    assert mux.take_events() == [ChannelClosed(first)]
    third = mux.open_channel(ChannelParameters("x"), 0.0)
    assert mux.channel(third).stream_id == 0
    assert len({first, second, third}) == 3


def test_equal_labels_from_both_sides_are_two_channels() -> None:
    pair = Pair()
    ours = pair.client.mux.open_channel(ChannelParameters("x"), 0.0)
    theirs = pair.server.mux.open_channel(ChannelParameters("x"), 0.0)
    pair.client.mux.send([(ours, "from the client")], 0.0)
    pair.server.mux.send([(theirs, "from the server")], 0.0)
    pair.settle()
    assert pair.client.mux.channel(ours).stream_id == 0
    assert pair.server.mux.channel(theirs).stream_id == 1
    assert pair.server.mux.take_received() == [(1, "from the client")]
    assert pair.client.mux.take_received() == [(1, "from the server")]


def test_messages_of_an_old_channel_never_reach_a_new_one() -> None:
    pair = Pair()
    for number in range(50):
        channel_id = pair.client.mux.open_channel(ChannelParameters("x"), 0.0)
        pair.client.mux.send([(channel_id, str(number))], 0.0)
        pair.client.mux.close_channel(channel_id, 0.0)
        pair.settle()
        assert pair.client.mux.channel(channel_id).stream_id == 0
        assert pair.server.mux.take_received() == [(number, str(number))]
