"""dcep_utf8: label and protocol are strict UTF-8, or the channel is refused; text messages are too."""

from __future__ import annotations

import struct

from hypothesis import example, given
from hypothesis import strategies as st

from xp2p_trio.datachannel import ChannelArrived, ChannelClosing, ChannelMux, Configuration, ResetRequested
from xp2p_trio.sctp import Message

OVERLONG, SURROGATE, BEYOND = b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"


def is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8", "strict")
    except UnicodeDecodeError:
        return False
    return True


def mux() -> ChannelMux:
    made = ChannelMux(Configuration())
    made.associate(is_dtls_client=True, outbound_streams=65535, remote_max_message_size=0, now=0.0)
    return made


@given(st.binary(max_size=8), st.binary(max_size=8))
@example(OVERLONG, b"")
@example(b"", SURROGATE)
@example(BEYOND, b"")
@example("é".encode()[:1], "é".encode()[1:])  # valid only if the two were one text
def test_labels(label: bytes, protocol: bytes) -> None:
    ours = mux()
    ours.receive(
        [Message(1, 50, struct.pack("!BBHLHH", 3, 0, 0, 0, len(label), len(protocol)) + label + protocol)], 0.0
    )
    if is_utf8(label) and is_utf8(protocol):
        assert ours.take_events() == [ChannelArrived(0)]
        assert ours.channel(0).label.encode() == label
    else:
        assert ours.take_events() == [ResetRequested((1,))]
        assert ours.transmit(0.0, 10) == []


@given(st.binary(min_size=1, max_size=8))
@example(OVERLONG)
@example(SURROGATE)
def test_messages(data: bytes) -> None:
    ours = mux()
    ours.receive([Message(1, 50, bytes.fromhex("03 00 0000 00000000 0000 0000")), Message(1, 51, data)], 0.0)
    if is_utf8(data):
        assert ours.take_message(0) == data.decode()
    else:
        assert ours.take_events() == [ChannelArrived(0), ChannelClosing(0), ResetRequested((1,))]
        assert ours.take_message(0) is None
