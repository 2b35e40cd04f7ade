"""dc_partial_reliability: one limit at most, handed to the association with every message and with nothing else."""

from __future__ import annotations

import pytest

from tests.datachannel.model import Pair
from xp2p_trio.datachannel import ChannelParameters
from xp2p_trio.errors import InvalidArgument


def test_both_limits_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="exclude each other"):
        ChannelParameters("x", max_retransmits=1, max_packet_life_time=1.0)


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize(("retransmits", "life_time"), [(None, None), (0, None), (3, None), (None, 0.0), (None, 1.5)])
def test_both_sides_send_with_the_limits(ordered: bool, retransmits: int | None, life_time: float | None) -> None:
    pair = Pair()
    parameters = ChannelParameters("x", "", ordered, retransmits, life_time)
    channel_id = pair.client.mux.open_channel(parameters, 0.0)
    pair.settle()
    assert pair.server.mux.channel(0).parameters == parameters
    for side, number in ((pair.client, channel_id), (pair.server, 0)):
        side.mux.send([(number, b"x"), (number, "")], 0.0)
        for message in side.mux.transmit(0.0, 10):
            assert (message.ordered, message.max_retransmits, message.lifetime) == (ordered, retransmits, life_time)


def test_an_abandoned_message_holds_up_nothing() -> None:
    pair = Pair()
    channel_id = pair.client.mux.open_channel(ChannelParameters("x", max_retransmits=0), 0.0)
    pair.settle()
    pair.client.mux.send([(channel_id, b"lost"), (channel_id, b"kept")], 0.0)
    pair.client.transmit()
    pair.client.link.take((0, 0))
    pair.settle()
    assert pair.server.mux.take_received() == [(0, b"kept")]
    pair.client.mux.close_channel(channel_id, 0.0)
    pair.settle()
    assert pair.client.mux.statistics.channels_closed == pair.server.mux.statistics.channels_closed == 1
