"""The door of data channels: any sequence of messages and resets of the peer leaves a multiplexer sound.

The input is cut into messages, each with a head of four bytes: stream, PPID, size, and what else happens.
"""

from __future__ import annotations

from xp2p_trio.datachannel import (
    ChannelArrived,
    ChannelClosed,
    ChannelMux,
    ChannelParameters,
    Configuration,
    Open,
    ResetRequested,
    decode_dcep,
    encode_open,
)
from xp2p_trio.errors import DecodeError, LocalError
from xp2p_trio.sctp import Message

PPIDS = (50, 50, 50, 51, 51, 52, 53, 53, 54, 56, 57, 0, 55, 58, 2**32 - 1, 49)


def test_one_input(data: bytes) -> None:
    check_codec(data)
    mux = ChannelMux(Configuration(max_open_channels=8, max_unaccepted=4, max_early_size=2048, max_partial_size=2048))
    for number in (None, 4, 5):
        mux.open_channel(ChannelParameters(negotiated_id=number), 0.0)
    mux.associate(is_dtls_client=True, outbound_streams=16, remote_max_message_size=100, now=0.0)
    resets: list[int] = []
    live = {0, 1, 2}
    taken = 0
    position = 0
    while position + 4 <= len(data):
        stream_id, ppid, size, action = data[position : position + 4]
        body = data[position + 4 : position + 4 + size]
        position += 4 + size
        mux.receive([Message(stream_id % 20, PPIDS[ppid % 16], body)], 0.0)
        if action & 1:
            mux.incoming_streams_reset([stream_id % 20], 0.0)
        if action & 2 and resets:
            mux.outgoing_streams_reset([resets.pop(0)], 0.0)
        if action & 4:
            taken += len(mux.take_received())
        if action & 8:
            live |= try_local(mux, action >> 4, body)
        for event in mux.take_events():
            if isinstance(event, ResetRequested):
                if set(resets) & set(event.stream_ids):
                    raise AssertionError("a stream is reset twice")
                resets += event.stream_ids
            elif isinstance(event, ChannelArrived):
                live.add(event.channel_id)
            elif isinstance(event, ChannelClosed):
                live.remove(event.channel_id)
        for message in mux.transmit(0.0, 100):
            if not message.data or message.stream_id >= 16 or message.stream_id in resets:
                raise AssertionError(f"{message} may not leave")
    taken += len(mux.take_received())
    # What came on a stream that the peer uses again waits, and counts, until our reset of it is confirmed.
    if (mux.unread_size and not resets) or taken > mux.statistics.messages_received:
        raise AssertionError("messages are counted wrong")
    mux.close(0.0)
    closed = [event.channel_id for event in mux.take_events() if isinstance(event, ChannelClosed)]
    if set(closed) != live or len(closed) != len(live):
        raise AssertionError("a channel outlives its association, or ends twice")


def check_codec(data: bytes) -> None:
    try:
        message = decode_dcep(data)
    except DecodeError as error:
        str(error)
        return
    if isinstance(message, Open) and decode_dcep(encode_open(message)) != message:
        raise AssertionError("an OPEN does not survive its bytes")


def try_local(mux: ChannelMux, number: int, body: bytes) -> set[int]:
    """What a program may do, refused or not; the channel that it made."""
    try:
        if number < 4:
            return {mux.open_channel(ChannelParameters("x", ordered=number % 2 == 0), 0.0)}
        if number < 8:
            mux.close_channel(len(body), 0.0)
        else:
            mux.send([(number - 8, body)], 0.0)
    except LocalError as error:
        str(error)
    return set()


if __name__ == "__main__":
    from fuzz.harness import main

    main(test_one_input)
