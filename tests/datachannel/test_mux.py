"""What a multiplexer does, case by case."""

from __future__ import annotations

import math

import pytest

from tests.datachannel.model import Pair
from xp2p_trio.datachannel import (
    ChannelArrived,
    ChannelClosed,
    ChannelClosing,
    ChannelMux,
    ChannelOpened,
    ChannelParameters,
    ChannelState,
    Configuration,
    ResetRequested,
    encode_ack,
    encode_open,
)
from xp2p_trio.datachannel.inbox import MESSAGE_OVERHEAD
from xp2p_trio.errors import InvalidArgument, InvalidState, MessageTooLarge
from xp2p_trio.sansio import Closed
from xp2p_trio.sctp import Message, OutgoingMessage

OPEN = encode_open(ChannelParameters("x").to_open())
ACK = encode_ack()


def lone(*, is_dtls_client: bool = True, streams: int = 65535, limit: int = 1000, **limits: int) -> ChannelMux:
    """A multiplexer whose peer is the test."""
    mux = ChannelMux(Configuration(**limits))
    mux.associate(is_dtls_client=is_dtls_client, outbound_streams=streams, remote_max_message_size=limit, now=0.0)
    return mux


def arrived(mux: ChannelMux, stream_id: int = 1) -> int:
    """The id of a channel that the peer has opened."""
    mux.receive([Message(stream_id, 50, OPEN)], 0.0)
    (event,) = mux.take_events()
    assert isinstance(event, ChannelArrived)
    assert mux.transmit(0.0, 10) == [OutgoingMessage(stream_id, 50, ACK)]
    return event.channel_id


def opened(mux: ChannelMux, parameters: ChannelParameters | None = None) -> int:
    """The id of a channel that the peer has acknowledged."""
    channel_id = mux.open_channel(parameters or ChannelParameters("x"), 0.0)
    mux.transmit(0.0, 10)
    stream_id = mux.channel(channel_id).stream_id
    assert stream_id is not None
    mux.receive([Message(stream_id, 50, ACK)], 0.0)
    assert mux.take_events() == [ChannelOpened(channel_id)]
    return channel_id


def test_open_and_acknowledge() -> None:
    mux = lone()
    channel_id = mux.open_channel(ChannelParameters("x"), 0.0)
    assert mux.channel(channel_id).state is ChannelState.CONNECTING
    assert mux.transmit(0.0, 10) == [OutgoingMessage(0, 50, OPEN)]
    assert mux.take_events() == []
    mux.receive([Message(0, 50, ACK)], 0.0)
    assert mux.take_events() == [ChannelOpened(channel_id)]
    assert mux.channel(channel_id).state is ChannelState.OPEN


def test_data_stands_for_the_acknowledgement() -> None:
    mux = lone()
    channel_id = mux.open_channel(ChannelParameters("x"), 0.0)
    mux.transmit(0.0, 10)
    mux.receive([Message(0, 51, b"hello")], 0.0)
    assert mux.take_events() == [ChannelOpened(channel_id)]
    assert mux.take_message(channel_id) == "hello"


def test_unordered_channel_sends_ordered_until_the_peer_has_answered() -> None:
    mux = lone()
    channel_id = mux.open_channel(ChannelParameters(ordered=False, max_retransmits=2), 0.0)
    mux.send([(channel_id, b"early")], 0.0)
    assert mux.transmit(0.0, 10)[1] == OutgoingMessage(0, 53, b"early", True, 2, None)
    mux.receive([Message(0, 50, ACK)], 0.0)
    mux.send([(channel_id, b"late")], 0.0)
    assert mux.transmit(0.0, 10) == [OutgoingMessage(0, 53, b"late", False, 2, None)]


def test_answering_side_of_an_unordered_channel_sends_unordered_at_once() -> None:
    mux = lone()
    mux.receive(
        [Message(1, 50, encode_open(ChannelParameters(ordered=False, max_packet_life_time=0.5).to_open()))], 0.0
    )
    mux.send([(0, b"x")], 0.0)
    assert mux.transmit(0.0, 10) == [OutgoingMessage(1, 50, ACK), OutgoingMessage(1, 53, b"x", False, None, 0.5)]


@pytest.mark.parametrize(
    ("message", "ppid", "payload"),
    [("hé", 51, "hé".encode()), ("", 56, b"\0"), (b"x", 53, b"x"), (b"", 57, b"\0")],
)
def test_types(message: str | bytes, ppid: int, payload: bytes) -> None:
    mux = lone()
    channel_id = arrived(mux)
    mux.send([(channel_id, message)], 0.0)
    assert mux.transmit(0.0, 1) == [OutgoingMessage(1, ppid, payload)]
    mux.receive([Message(1, ppid, payload)], 0.0)
    assert mux.unread_size == len(message.encode() if isinstance(message, str) else message) + MESSAGE_OVERHEAD
    assert repr(mux.take_message(channel_id)) == repr(message)
    assert mux.unread_size == 0


def test_payload_of_an_empty_message_is_ignored() -> None:
    mux = lone()
    channel_id = arrived(mux)
    mux.receive([Message(1, 56, b"junk"), Message(1, 57, b"junk")], 0.0)
    assert mux.take_received() == [(channel_id, ""), (channel_id, b"")]


def test_everything_before_the_association_waits() -> None:
    mux = ChannelMux(Configuration())
    first = mux.open_channel(ChannelParameters("a"), 0.0)
    second = mux.open_channel(ChannelParameters("b"), 0.0)
    mux.send([(first, "one"), (second, b"two")], 0.0)
    assert mux.transmit(0.0, 10) == []
    assert (mux.buffered_size(first), mux.channel(first).stream_id) == (3, None)
    mux.receive([Message(0, 50, OPEN)], 0.0)  # in the same packet as the end of the SCTP handshake
    assert mux.unread_size == len(OPEN) + MESSAGE_OVERHEAD
    mux.associate(is_dtls_client=False, outbound_streams=10, remote_max_message_size=10, now=0.0)
    assert [(message.stream_id, message.ppid) for message in mux.transmit(0.0, 10)] == [
        (1, 50),
        (1, 51),
        (3, 50),
        (3, 53),
        (0, 50),
    ]
    assert mux.take_events() == [ChannelArrived(2)]
    assert mux.unread_size == 0
    assert mux.buffered_size(first) == 0


def test_associate_happens_once() -> None:
    mux = lone()
    with pytest.raises(InvalidState):
        mux.associate(is_dtls_client=True, outbound_streams=10, remote_max_message_size=10, now=0.0)


def test_channels_without_a_stream_are_closed() -> None:
    mux = ChannelMux(Configuration())
    ids = [mux.open_channel(ChannelParameters(negotiated_id=number), 0.0) for number in (0, 9)]
    ids += [mux.open_channel(ChannelParameters(), 0.0) for _ in range(2)]
    mux.send([(ids[1], b"x")], 0.0)
    mux.associate(is_dtls_client=True, outbound_streams=4, remote_max_message_size=0, now=0.0)
    assert mux.take_events() == [ChannelOpened(ids[0]), ChannelClosed(ids[1]), ChannelClosed(ids[3])]
    assert mux.channel(ids[2]).stream_id == 2
    assert mux.buffered_size(ids[1]) == 0
    with pytest.raises(InvalidState, match="no stream"):
        mux.open_channel(ChannelParameters(), 0.0)
    with pytest.raises(InvalidArgument, match="4 streams"):
        mux.open_channel(ChannelParameters(negotiated_id=4), 0.0)


def test_message_larger_than_the_peer_takes() -> None:
    mux = ChannelMux(Configuration())
    channel_id = mux.open_channel(ChannelParameters(), 0.0)
    with pytest.raises(MessageTooLarge):
        mux.send([(channel_id, b"x" * 65537)], 0.0)
    mux.send([(channel_id, b"x" * 11)], 0.0)
    mux.associate(is_dtls_client=True, outbound_streams=10, remote_max_message_size=10, now=0.0)
    assert mux.take_events() == [ChannelClosing(channel_id), ResetRequested((0,))]
    assert mux.transmit(0.0, 10) == []

    mux = lone(limit=10)
    channel_id = opened(mux)
    with pytest.raises(MessageTooLarge) as caught:
        mux.send([(channel_id, b"fits"), (channel_id, "é" * 6)], 0.0)
    assert (caught.value.size, caught.value.limit) == (12, 10)
    assert mux.transmit(0.0, 10) == []
    mux.send([(channel_id, "é" * 5)], 0.0)
    assert len(mux.transmit(0.0, 10)) == 1

    mux = lone(limit=0)
    channel_id = opened(mux)
    mux.send([(channel_id, bytes(2**20))], 0.0)
    assert len(mux.transmit(0.0, 10)) == 1


@pytest.mark.parametrize("message", [7, None, "\ud800", ["x"]])
def test_what_is_no_message(message: object) -> None:
    mux = lone()
    channel_id = opened(mux)
    with pytest.raises(InvalidArgument):
        mux.send([(channel_id, b"x"), (channel_id, message)], 0.0)  # type: ignore[list-item]
    assert mux.buffered_size(channel_id) == 0


def test_unknown_channels() -> None:
    mux = lone()
    for call in (
        lambda: mux.send([(0, b"x")], 0.0),
        lambda: mux.close_channel(0, 0.0),
        lambda: mux.channel(0),
    ):
        with pytest.raises(InvalidArgument):
            call()
    assert mux.take_message(0) is None
    assert mux.buffered_size(0) == 0


def test_close_flushes_then_resets() -> None:
    mux = lone()
    channel_id = opened(mux)
    mux.send([(channel_id, b"a"), (channel_id, b"b")], 0.0)
    mux.close_channel(channel_id, 0.0)
    mux.close_channel(channel_id, 0.0)
    assert mux.take_events() == []
    with pytest.raises(InvalidState, match="closing"):
        mux.send([(channel_id, b"c")], 0.0)
    assert len(mux.transmit(0.0, 1)) == 1
    assert mux.take_events() == []
    assert len(mux.transmit(0.0, 9)) == 1
    assert mux.take_events() == [ResetRequested((0,))]
    mux.outgoing_streams_reset((0,), 0.0)
    assert mux.take_events() == []
    mux.incoming_streams_reset((0,), 0.0)
    assert mux.take_events() == [ChannelClosed(channel_id)]
    with pytest.raises(InvalidState, match="closed"):
        mux.send([(channel_id, b"c")], 0.0)


def test_close_before_the_association() -> None:
    mux = ChannelMux(Configuration())
    silent = mux.open_channel(ChannelParameters(), 0.0)
    mux.close_channel(silent, 0.0)
    assert mux.take_events() == [ChannelClosed(silent)]
    speaking = mux.open_channel(ChannelParameters(), 0.0)
    mux.send([(speaking, "last words")], 0.0)
    mux.close_channel(speaking, 0.0)
    negotiated = mux.open_channel(ChannelParameters(negotiated_id=7), 0.0)
    mux.close_channel(negotiated, 0.0)
    assert mux.take_events() == []
    mux.associate(is_dtls_client=True, outbound_streams=10, remote_max_message_size=0, now=0.0)
    assert [message.ppid for message in mux.transmit(0.0, 10)] == [50, 51]
    assert mux.take_events() == [ResetRequested((7, 0))]


def test_peer_closes() -> None:
    mux = lone()
    channel_id = opened(mux)
    mux.receive([Message(0, 53, b"a"), Message(0, 53, b"b")], 0.0)
    mux.send([(channel_id, b"nobody reads this")], 0.0)
    mux.incoming_streams_reset((0,), 0.0)
    assert mux.take_events() == [ChannelClosing(channel_id), ResetRequested((0,))]
    assert mux.transmit(0.0, 10) == []
    assert mux.buffered_size(channel_id) == 0
    assert mux.take_message(channel_id) == b"a"
    mux.outgoing_streams_reset((0,), 0.0)
    assert mux.take_events() == [ChannelClosed(channel_id)]
    assert mux.take_message(channel_id) == b"b"
    assert mux.channel(channel_id).state is ChannelState.CLOSED
    assert mux.take_message(channel_id) is None


def test_peer_refuses() -> None:
    mux = lone()
    channel_id = mux.open_channel(ChannelParameters(), 0.0)
    mux.transmit(0.0, 10)
    mux.incoming_streams_reset((0,), 0.0)
    mux.outgoing_streams_reset((0,), 0.0)
    assert mux.take_events() == [ChannelClosing(channel_id), ResetRequested((0,)), ChannelClosed(channel_id)]


def test_reset_of_all_streams() -> None:
    mux = lone()
    first, second = opened(mux), opened(mux)
    mux.incoming_streams_reset((), 0.0)
    assert mux.take_events() == [
        ChannelClosing(first),
        ResetRequested((0,)),
        ChannelClosing(second),
        ResetRequested((2,)),
    ]


def test_reset_of_an_unused_stream_is_answered_once() -> None:
    mux = lone()
    mux.receive([Message(6, 53, b"for a channel that is not there")], 0.0)
    mux.incoming_streams_reset((6,), 0.0)
    mux.incoming_streams_reset((6,), 0.0)
    assert mux.take_events() == [ResetRequested((6,))]
    with pytest.raises(InvalidArgument, match="about to free"):
        mux.open_channel(ChannelParameters(negotiated_id=6), 0.0)
    mux.outgoing_streams_reset((6,), 0.0)
    channel_id = mux.open_channel(ChannelParameters(negotiated_id=6), 0.0)
    assert mux.take_message(channel_id) is None


def test_stream_reused_before_our_confirmation_came() -> None:
    mux = lone()
    old = arrived(mux)
    mux.incoming_streams_reset((1,), 0.0)
    mux.take_events()
    mux.receive([Message(1, 50, OPEN), Message(1, 51, b"new")], 0.0)
    assert mux.take_events() == []
    mux.outgoing_streams_reset((1,), 0.0)
    assert mux.take_events() == [ChannelClosed(old), ChannelArrived(old + 1)]
    assert mux.take_received() == [(old + 1, "new")]


def test_data_that_overtook_its_open() -> None:
    mux = lone()
    mux.receive([Message(1, 53, b"first"), Message(1, 50, OPEN), Message(1, 53, b"second")], 0.0)
    assert mux.take_events() == [ChannelArrived(0)]
    assert mux.take_received() == [(0, b"first"), (0, b"second")]


def test_data_for_a_negotiated_channel_that_is_made_later() -> None:
    mux = lone()
    mux.receive([Message(9, 51, b"hello")], 0.0)
    channel_id = mux.open_channel(ChannelParameters(negotiated_id=9), 0.0)
    assert mux.take_events() == [ChannelOpened(channel_id)]
    assert mux.take_message(channel_id) == "hello"
    assert mux.transmit(0.0, 10) == []
    with pytest.raises(InvalidArgument, match="another channel"):
        mux.open_channel(ChannelParameters(negotiated_id=9), 0.0)


def test_early_data_is_limited() -> None:
    mux = lone(max_early_size=1000)
    mux.receive([Message(5, 53, bytes(300))] * 2, 0.0)
    assert mux.take_events() == [ResetRequested((5,))]
    mux.receive([Message(5, 53, bytes(300))] * 2, 0.0)
    assert (mux.statistics.channels_refused, mux.statistics.messages_dropped) == (1, 2)


def test_partial_messages() -> None:
    mux = lone()
    channel_id = arrived(mux)
    euro = "€".encode()
    mux.receive([Message(1, 54, euro[:1]), Message(1, 54, euro[1:2]), Message(1, 51, euro[2:])], 0.0)
    mux.receive([Message(1, 52, b"a"), Message(1, 53, b"b"), Message(1, 53, b"c")], 0.0)
    assert mux.take_received() == [(channel_id, "€"), (channel_id, b"ab"), (channel_id, b"c")]


@pytest.mark.parametrize(
    "messages",
    [
        [(54, b"a"), (53, b"b")],
        [(52, b"a"), (51, b"b")],
        [(52, b"a"), (54, b"b")],
        [(52, b"a"), (56, b"\0")],
        [(52, bytes(500)), (52, bytes(500))],
        [(54, b"\xff"), (51, b"a")],
        [(51, b"\xff")],
        [(0, b"x")],
        [(58, b"x")],
        [(50, OPEN)],
        [(50, b"\x04")],
        [(50, b"")],
    ],
)
def test_broken_rules_close_the_channel(messages: list[tuple[int, bytes]]) -> None:
    mux = lone(max_partial_size=1000)
    channel_id = arrived(mux)
    mux.receive([Message(1, 53, b"before"), *(Message(1, ppid, data) for ppid, data in messages)], 0.0)
    assert mux.take_events() == [ChannelClosing(channel_id), ResetRequested((1,))]
    assert mux.statistics.channels_failed == 1
    mux.receive([Message(1, 53, b"after"), Message(1, 50, OPEN)], 0.0)
    assert mux.take_message(channel_id) == b"before"
    assert mux.take_events() == []


def test_close_forgets_what_is_unread() -> None:
    mux = lone()
    channel_id = arrived(mux)
    mux.receive([Message(1, 53, b"unread"), Message(1, 52, b"part")], 0.0)
    mux.close_channel(channel_id, 0.0)
    assert mux.unread_size == 0
    mux.receive([Message(1, 53, b"too late")], 0.0)
    assert mux.take_received() == []
    assert mux.statistics.messages_dropped == 1


def test_messages_of_many_channels_in_the_order_of_arrival() -> None:
    mux = lone()
    first, second = arrived(mux, 1), arrived(mux, 3)
    mux.receive([Message(3, 53, b"1"), Message(1, 53, b"2"), Message(3, 53, b"3"), Message(1, 56, b"\0")], 0.0)
    assert mux.unread_size == 3 + 4 * MESSAGE_OVERHEAD
    assert mux.take_received() == [(second, b"1"), (first, b"2"), (second, b"3"), (first, "")]
    assert mux.take_received() == []


def test_a_batch_equals_its_messages_one_by_one() -> None:
    batch = [
        Message(1, 50, OPEN),
        Message(1, 51, b"\xff"),
        Message(3, 53, b"x"),
        Message(3, 50, OPEN),
        Message(2, 50, OPEN),
        Message(5, 50, OPEN[:5]),
    ]
    whole, single = lone(), lone()
    whole.receive(batch, 0.0)
    for message in batch:
        single.receive([message], 0.0)
    assert whole.take_events() == single.take_events()
    assert whole.take_received() == single.take_received()
    assert whole.transmit(0.0, 99) == single.transmit(0.0, 99)
    assert whole.statistics == single.statistics


def test_the_end_of_the_association() -> None:
    mux = lone()
    first, second = opened(mux), arrived(mux)
    mux.receive([Message(0, 53, b"kept")], 0.0)
    mux.send([(second, b"lost")], 0.0)
    mux.close(0.0)
    mux.close(0.0)
    assert mux.take_events() == [ChannelClosed(first), ChannelClosed(second), Closed()]
    assert mux.buffered_size(second) == 0
    mux.receive([Message(3, 50, OPEN), Message(0, 53, b"x")], 0.0)
    mux.incoming_streams_reset((0,), 0.0)
    mux.outgoing_streams_reset((0,), 0.0)
    mux.handle_timeout(1e9)
    assert (mux.transmit(0.0, 10), mux.take_events(), mux.next_timeout()) == ([], [], math.inf)
    with pytest.raises(InvalidState):
        mux.open_channel(ChannelParameters(), 0.0)
    with pytest.raises(InvalidState):
        mux.send([(first, b"x")], 0.0)
    assert mux.take_message(first) == b"kept"
    mux.close_channel(first, 0.0)


def test_limit_of_open_channels() -> None:
    mux = lone(max_open_channels=2)
    first = opened(mux)
    opened(mux)
    with pytest.raises(InvalidState, match="2 channels"):
        mux.open_channel(ChannelParameters(), 0.0)
    mux.receive([Message(1, 50, OPEN)], 0.0)
    assert mux.take_events() == [ResetRequested((1,))]
    mux.close_channel(first, 0.0)
    mux.outgoing_streams_reset((0,), 0.0)
    mux.incoming_streams_reset((0,), 0.0)
    mux.take_events()
    assert opened(mux) == 2


def test_counters() -> None:
    pair = Pair()
    channel_id = pair.client.mux.open_channel(ChannelParameters(), 0.0)
    pair.client.mux.send([(channel_id, "é"), (channel_id, b"")], 0.0)
    pair.settle()
    sent, received = pair.client.mux.channel(channel_id), pair.server.mux.channel(0)
    assert (sent.messages_sent, sent.bytes_sent) == (received.messages_received, received.bytes_received) == (2, 2)
    pair.client.mux.close_channel(channel_id, 0.0)
    pair.settle()
    statistics = pair.client.mux.statistics
    assert (statistics.channels_opened, statistics.channels_closed, statistics.messages_sent) == (1, 1, 2)
    statistics = pair.server.mux.statistics
    assert (statistics.channels_arrived, statistics.messages_received, statistics.bytes_received) == (1, 2, 2)


def test_configuration_is_checked() -> None:
    with pytest.raises(InvalidArgument, match="max_unaccepted"):
        Configuration(max_unaccepted=0)


def test_a_peer_without_stream_reset() -> None:
    """The channel closes on this side as soon as that is known, and its stream has no other channel."""
    mux = lone()
    channel_id = opened(mux)
    mux.close_channel(channel_id, 0.0)
    assert mux.take_events() == [ResetRequested((0,))]
    mux.outgoing_streams_reset_denied((0,), 0.0)
    assert mux.take_events() == [ChannelClosed(channel_id)]
    mux.receive([Message(0, 53, b"late"), Message(0, 50, OPEN)], 0.0)
    assert mux.take_received() == []
    assert mux.take_events() == []
    assert mux.statistics.messages_dropped == 2
    assert mux.channel(mux.open_channel(ChannelParameters(), 0.0)).stream_id == 2


def test_a_peer_that_resets_and_refuses_ours() -> None:
    mux = lone()
    channel_id = arrived(mux)
    mux.incoming_streams_reset((1,), 0.0)
    assert mux.take_events() == [ChannelClosing(channel_id), ResetRequested((1,))]
    mux.receive([Message(1, 50, OPEN)], 0.0)
    mux.outgoing_streams_reset_denied((1,), 0.0)
    assert mux.take_events() == [ChannelClosed(channel_id)]
    assert mux.unread_size == 0
    mux.outgoing_streams_reset_denied((1, 7), 0.0)
    assert mux.take_events() == []
    mux.incoming_streams_reset((1,), 0.0)
    arrived(mux)


def test_a_reused_stream_loses_nothing_while_the_confirmation_is_on_its_way() -> None:
    """However much comes: it counts as unread, which is what slows the peer down."""
    mux = lone(max_early_size=1000)
    first = arrived(mux)
    mux.incoming_streams_reset((1,), 0.0)
    mux.take_events()
    messages = [bytes([number]) * 1000 for number in range(100)]
    mux.receive([Message(1, 50, OPEN), *(Message(1, 53, message) for message in messages)], 0.0)
    assert mux.unread_size > 100_000
    mux.outgoing_streams_reset((1,), 0.0)
    assert mux.take_events() == [ChannelClosed(first), ChannelArrived(first + 1)]
    assert mux.take_received() == [(first + 1, message) for message in messages]
    assert mux.unread_size == 0
    assert mux.statistics.messages_dropped == 0


def test_the_stream_of_a_closed_channel_is_not_its_own() -> None:
    mux = lone()
    channel_id = opened(mux)
    assert mux.stream_id(channel_id) == 0
    mux.close_channel(channel_id, 0.0)
    mux.incoming_streams_reset((0,), 0.0)
    mux.outgoing_streams_reset((0,), 0.0)
    other = opened_after(mux)
    assert (mux.stream_id(channel_id), mux.stream_id(other)) == (None, 0)


def opened_after(mux: ChannelMux) -> int:
    """The id of a channel of ours that is made when other news has been told."""
    mux.take_events()
    return opened(mux)
