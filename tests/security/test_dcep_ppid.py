"""dcep_ppid: every PPID and DCEP message, on every kind of stream."""

from __future__ import annotations

import pytest

from xp2p_trio.datachannel import (
    ChannelArrived,
    ChannelClosing,
    ChannelMux,
    ChannelOpened,
    ChannelParameters,
    Configuration,
    Event,
    ResetRequested,
    encode_ack,
    encode_open,
)
from xp2p_trio.sctp import Message

OPEN, ACK = encode_open(ChannelParameters("x").to_open()), encode_ack()
RESET_1, RESET_0 = [ResetRequested((1,))], [ChannelClosing(0), ResetRequested((0,))]

UNUSED: list[tuple[int, bytes, list[Event], int]] = [
    (50, OPEN, [ChannelArrived(0)], 0),
    (50, ACK, [], 1),
    (50, b"", RESET_1, 0),
    (50, b"\0", RESET_1, 0),
    (50, b"\x01", RESET_1, 0),
    (50, b"\xff", RESET_1, 0),
    (50, b"\x03\x7f" + OPEN[2:], RESET_1, 0),
    (50, b"\x03\xff" + OPEN[2:], RESET_1, 0),
    (50, b"\x03\x03" + OPEN[2:], RESET_1, 0),
    (0, b"x", [], 1),
    (55, b"x", [], 1),
    (58, b"x", [], 1),
    (2**32 - 1, b"x", [], 1),
    (51, b"x", [], 0),
    (52, b"x", [], 0),
    (53, b"x", [], 0),
    (54, b"x", [], 0),
    (56, b"x", [], 0),
    (57, b"x", [], 0),
]
CONNECTING: list[tuple[int, bytes, list[Event], list[object]]] = [
    (50, ACK, [ChannelOpened(0)], []),
    (50, OPEN, RESET_0, []),
    (50, b"\x04", RESET_0, []),
    (51, b"x", [ChannelOpened(0)], ["x"]),
    (52, b"x", [ChannelOpened(0)], []),
    (53, b"x", [ChannelOpened(0)], [b"x"]),
    (54, b"x", [ChannelOpened(0)], []),
    (56, b"\0", [ChannelOpened(0)], [""]),
    (57, b"\0", [ChannelOpened(0)], [b""]),
    (0, b"x", [ChannelOpened(0), *RESET_0], []),
    (58, b"x", [ChannelOpened(0), *RESET_0], []),
]


def make() -> ChannelMux:
    mux = ChannelMux(Configuration())
    mux.associate(is_dtls_client=True, outbound_streams=65535, remote_max_message_size=0, now=0.0)
    return mux


@pytest.mark.parametrize(("ppid", "data", "events", "dropped"), UNUSED)
def test_on_an_unused_stream(ppid: int, data: bytes, events: list[Event], dropped: int) -> None:
    mux = make()
    mux.receive([Message(1, ppid, data)], 0.0)
    assert mux.take_events() == events
    assert mux.statistics.messages_dropped == dropped
    assert mux.take_received() == []
    assert len(mux.transmit(0.0, 10)) == (1 if events == [ChannelArrived(0)] else 0)


@pytest.mark.parametrize(("ppid", "data", "events", "messages"), CONNECTING)
def test_on_a_connecting_channel(ppid: int, data: bytes, events: list[Event], messages: list[object]) -> None:
    mux = make()
    mux.open_channel(ChannelParameters("x"), 0.0)
    mux.receive([Message(0, ppid, data)], 0.0)
    assert mux.take_events() == events
    assert [message for _, message in mux.take_received()] == messages


def test_acknowledgements_out_of_nowhere_change_nothing() -> None:
    mux = make()
    mux.receive([Message(1, 50, OPEN)], 0.0)
    mux.open_channel(ChannelParameters(negotiated_id=8), 0.0)
    mux.take_events()
    mux.receive([Message(1, 50, ACK), Message(8, 50, ACK), Message(3, 50, ACK)], 0.0)
    assert mux.take_events() == []
    assert mux.statistics.messages_dropped == 3


def test_open_on_an_open_stream_closes_its_channel() -> None:
    mux = make()
    mux.receive([Message(1, 50, OPEN)], 0.0)
    mux.transmit(0.0, 10)
    mux.receive([Message(1, 50, OPEN)], 0.0)
    assert mux.take_events() == [ChannelArrived(0), ChannelClosing(0), ResetRequested((1,))]
    assert mux.transmit(0.0, 10) == []
