"""dcep_lengths: the lengths of label and protocol add up to the message, or the channel is refused."""

from __future__ import annotations

import struct

import pytest

from xp2p_trio.datachannel import ChannelMux, Configuration, ResetRequested, decode_dcep
from xp2p_trio.errors import DecodeError
from xp2p_trio.sctp import Message


def test_every_pair_of_lengths() -> None:
    for label_size in range(8):
        for protocol_size in range(8):
            for body_size in range(16):
                data = struct.pack("!BBHLHH", 3, 0, 0, 0, label_size, protocol_size) + b"x" * body_size
                if label_size + protocol_size == body_size:
                    decode_dcep(data)
                else:
                    with pytest.raises(DecodeError):
                        decode_dcep(data)


@pytest.mark.parametrize("sizes", [(65535, 0), (0, 65535), (65535, 65535), (1, 0), (0, 1)])
def test_lengths_beyond_the_buffer_refuse_the_channel(sizes: tuple[int, int]) -> None:
    mux = ChannelMux(Configuration())
    mux.associate(is_dtls_client=True, outbound_streams=65535, remote_max_message_size=0, now=0.0)
    mux.receive([Message(1, 50, struct.pack("!BBHLHH", 3, 0, 0, 0, *sizes))], 0.0)
    assert mux.take_events() == [ResetRequested((1,))]
    assert mux.transmit(0.0, 10) == []
