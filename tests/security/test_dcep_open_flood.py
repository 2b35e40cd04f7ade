"""dcep_open_flood: channels that nobody accepted, and open ones, are limited; closed ones cost nothing."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable

from xp2p_trio.datachannel import ChannelArrived, ChannelMux, ChannelParameters, Configuration, encode_open
from xp2p_trio.sctp import Message

OPEN = encode_open(ChannelParameters("flood").to_open())
KIB = 1024


def make() -> ChannelMux:
    mux = ChannelMux(Configuration())
    mux.associate(is_dtls_client=True, outbound_streams=65535, remote_max_message_size=0, now=0.0)
    return mux


def arrivals(mux: ChannelMux) -> list[int]:
    return [event.channel_id for event in mux.take_events() if isinstance(event, ChannelArrived)]


def test_unaccepted_channels_are_limited() -> None:
    mux = make()
    mux.receive([Message(stream_id, 50, OPEN) for stream_id in range(1, 1025, 2)], 0.0)
    first = arrivals(mux)
    assert len(first) == 256
    assert mux.statistics.channels_refused == 256
    mux.accept_channel(first[0])
    mux.accept_channel(first[0])
    mux.take_message(first[1])
    mux.receive([Message(stream_id, 50, OPEN) for stream_id in range(2001, 2011, 2)], 0.0)
    assert len(arrivals(mux)) == 2


def test_open_channels_are_limited() -> None:
    mux = make()
    for stream_id in range(1, 4001, 2):
        mux.receive([Message(stream_id, 50, OPEN)], 0.0)
        for channel_id in arrivals(mux):
            mux.accept_channel(channel_id)
    assert mux.statistics.channels_arrived == 1024
    assert mux.statistics.channels_refused == 2000 - 1024


def cycle(mux: ChannelMux, count: int) -> None:
    """The peer opens, sends, and closes; the program takes no notice but for the events."""
    for _ in range(count):
        mux.receive([Message(1, 50, OPEN)], 0.0)
        mux.incoming_streams_reset((1,), 0.0)
        mux.transmit(0.0, 10)
        mux.outgoing_streams_reset((1,), 0.0)
        mux.take_events()


def test_closed_channels_leave_nothing_behind() -> None:
    mux = make()
    cycle(mux, 3000)  # the memory of the last closed channels is full
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    cycle(mux, 5000)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    cycle(mux, 92_000)
    assert mux.statistics.channels_closed == 100_000
    assert after - before < 4 * KIB * KIB
    assert mux.statistics.channels_refused == 0


def test_a_flood_on_every_stream_stays_small() -> None:
    mux = make()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for stream_id in range(65535):
        mux.receive([Message(stream_id, 50, OPEN), Message(stream_id, 53, bytes(100))], 0.0)
        mux.transmit(0.0, 10)
        mux.take_events()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 4 * KIB * KIB


def wordy(size: int) -> bytes:
    return encode_open(ChannelParameters("l" * size, "p" * size).to_open())


def growth_of(flood: Callable[[], None]) -> int:
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    flood()
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return after - before


def test_labels_as_long_as_they_can_be() -> None:
    """What nobody has touched, and what is remembered of closed channels, is limited in text as well."""
    mux = make()

    def flood() -> None:
        for stream_id in range(1, 601, 2):
            mux.receive([Message(stream_id, 50, wordy(65535))], 0.0)
            mux.transmit(0.0, 10)
            mux.take_events()

    assert growth_of(flood) < 4 * KIB * KIB
    assert mux.statistics.channels_arrived == 8
    mux = make()

    def cycles() -> None:
        for _ in range(100):
            mux.receive([Message(1, 50, wordy(65535))], 0.0)
            mux.incoming_streams_reset((1,), 0.0)
            mux.outgoing_streams_reset((1,), 0.0)
            mux.take_events()

    assert growth_of(cycles) < 4 * KIB * KIB
    assert mux.statistics.channels_closed == 100


def test_a_peer_that_opens_and_closes_while_it_takes_nothing() -> None:
    """SCTP has no room, so nothing is pulled; what is queued for channels that are gone is gone as well."""
    mux = make()
    mux.receive([Message(1, 50, OPEN)], 0.0)
    [channel_id] = arrivals(mux)
    mux.send([(channel_id, b"x")] * 100, 0.0)

    def flood() -> None:
        for _ in range(2000):
            mux.receive([Message(3, 50, wordy(4000))], 0.0)
            mux.incoming_streams_reset((3,), 0.0)
            mux.outgoing_streams_reset((3,), 0.0)
            mux.take_events()

    assert growth_of(flood) < 4 * KIB * KIB
    assert len(mux.transmit(0.0, 1000)) == 101, "what the other channel has queued is all there"
