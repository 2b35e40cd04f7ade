"""Two peers and a reference model of every channel between them."""

from __future__ import annotations

import attrs

from xp2p_trio.datachannel import (
    ChannelArrived,
    ChannelClosed,
    ChannelClosing,
    ChannelOpened,
    ChannelParameters,
    ChannelState,
)
from xp2p_trio.errors import InvalidState
from xp2p_trio.peer import Connection, ConnectionState
from xp2p_trio.sansio import Failed
from xp2p_trio.testing import BLACK_HOLE, Link, Peers

GOOD = Link(delay=0.02)
SIDES = ("alice", "bob")
RECOVERY = 20.0
"""Seconds on a good link after which consent is fresh again and every timer has run once."""
LONGEST_SILENCE = 17.0
"""Seconds that consent always survives: 30, less the age of the last answer and the wait for the next check, each of
which is 6 at most (RFC 7675 section 5.1)."""


def other_side(side: str) -> str:
    """The other one."""
    return "bob" if side == "alice" else "alice"


@attrs.define
class Direction:
    """What one side sent on a channel and what came out at the other."""

    sent: list[str | bytes] = attrs.field(factory=list)
    received: list[str | bytes] = attrs.field(factory=list)


@attrs.define
class ModelChannel:
    """A channel as its two programs know it."""

    parameters: ChannelParameters
    ids: dict[str, int] = attrs.field(factory=dict)
    directions: dict[str, Direction] = attrs.field(factory=lambda: {side: Direction() for side in SIDES})
    closers: list[str] = attrs.field(factory=list)

    @property
    def is_reliable(self) -> bool:
        """Whether nothing may be missing."""
        return self.parameters.max_retransmits is None and self.parameters.max_packet_life_time is None

    def check(self) -> None:
        """What must hold at any moment."""
        for side, direction in self.directions.items():
            name = f"{self.parameters.label} from {side}"
            places = {message: place for place, message in enumerate(direction.sent)}
            assert all(message in places for message in direction.received), f"{name}: something that was never sent"
            order = [places[message] for message in direction.received]
            assert len(set(order)) == len(order), f"{name}: something twice"
            if self.parameters.ordered:
                assert order == sorted(order), f"{name}: out of order"
                if self.is_reliable:
                    assert order == list(range(len(order))), f"{name}: a gap"

    def check_complete(self) -> None:
        """What must hold when all is quiet: what could be delivered was."""
        self.check()
        for side, direction in self.directions.items():
            # A side that closed reads no more; and what the peer has not read by then is gone.
            if self.is_reliable and other_side(side) not in self.closers:
                assert len(direction.received) == len(direction.sent), (
                    f"{self.parameters.label} from {side}: {len(direction.sent) - len(direction.received)} missing"
                )


class World:
    """The two, their channels, and what was said."""

    def __init__(self, *, seed: int = 0, link: Link = GOOD, peers: Peers | None = None) -> None:
        self.peers = Peers(seed=seed, link=link) if peers is None else peers
        self.channels: dict[str, ModelChannel] = {}
        self.number = 0
        self.seen = dict.fromkeys(SIDES, 0)
        self.closed: dict[str, set[int]] = {side: set() for side in SIDES}

    def connection(self, side: str) -> Connection:
        """The peer of that name."""
        return self.peers.alice if side == "alice" else self.peers.bob

    def open(self, side: str, parameters: ChannelParameters) -> str:
        """Make a channel with a label of its own."""
        label = f"{side} {len(self.channels)}"
        parameters = attrs.evolve(parameters, label=label)
        self.channels[label] = ModelChannel(parameters)
        self.channels[label].ids[side] = self.connection(side).create_data_channel(parameters, self.peers.now)
        return label

    def open_negotiated(self, stream_id: int) -> str:
        """Make a channel on both sides."""
        label = f"negotiated {stream_id}"
        parameters = ChannelParameters(label, negotiated_id=stream_id)
        self.channels[label] = ModelChannel(parameters)
        for side in SIDES:
            self.channels[label].ids[side] = self.connection(side).create_data_channel(parameters, self.peers.now)
        return label

    def send(self, side: str, label: str, size: int, *, is_text: bool) -> None:
        """Send a message that is like no other, if the channel is there and open on this side."""
        channel = self.channels[label]
        if side not in channel.ids:
            return
        self.number += 1
        text = f"{self.number}:".ljust(size, "é" if is_text else "x")
        message: str | bytes = text if is_text else text.encode()
        try:
            self.connection(side).send([(channel.ids[side], message)], self.peers.now)
        except InvalidState:
            assert side in channel.closers or self.is_closing(side, label)
        else:
            channel.directions[side].sent.append(message)

    def is_closing(self, side: str, label: str) -> bool:
        """Whether the channel is on its way out on this side."""
        channel_id = self.channels[label].ids[side]
        if channel_id in self.closed[side]:
            return True
        return self.connection(side).channel(channel_id).state >= ChannelState.CLOSING

    def close_channel(self, side: str, label: str) -> None:
        """Close a channel on one side."""
        channel = self.channels[label]
        if side in channel.ids:
            self.read(side)
            channel.closers.append(side)
            self.connection(side).close_channel(channel.ids[side], self.peers.now)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.peers.run(timeout=seconds)
        self.observe()

    def observe(self) -> None:
        """Take in the events."""
        for side in SIDES:
            sctp = self.connection(side).statistics.sctp
            assert sctp is None or sctp.received_size <= 1.25 * self.connection(side).configuration.sctp.receive_window
            news = self.peers.events[side][self.seen[side] :]
            self.seen[side] += len(news)
            for event in news:
                assert not isinstance(event, Failed), f"{side}: {event.failure}"
                if isinstance(event, ChannelArrived):
                    label = self.connection(side).channel(event.channel_id).label
                    assert side not in self.channels[label].ids, f"{label} arrived twice"
                    self.channels[label].ids[side] = event.channel_id
                elif isinstance(event, ChannelClosed):
                    assert event.channel_id not in self.closed[side]
                    self.closed[side].add(event.channel_id)
                elif isinstance(event, ChannelOpened | ChannelClosing):
                    assert event.channel_id not in self.closed[side]

    def read(self, side: str) -> None:
        """Take all that came and hold it against the model."""
        self.observe()
        labels = {channel.ids[side]: label for label, channel in self.channels.items() if side in channel.ids}
        for channel_id, message in self.connection(side).take_received():
            channel = self.channels[labels[channel_id]]
            assert side not in channel.closers, f"{labels[channel_id]}: read after closing"
            channel.directions[other_side(side)].received.append(message)
        for channel in self.channels.values():
            channel.check()

    def read_all(self) -> None:
        """Both sides."""
        for side in SIDES:
            self.read(side)

    def black_hole(self, seconds: float) -> None:
        """Nothing gets through for a while, then all is well."""
        self.peers.network.set_links("alice", "bob", BLACK_HOLE)
        self.run(seconds)
        self.heal()

    def heal(self) -> None:
        """A good link, long enough for consent to be fresh."""
        self.peers.network.set_links("alice", "bob", GOOD)
        self.run(RECOVERY)

    def settle(self) -> None:
        """Let everything that can arrive do so, and check that it has."""
        self.peers.network.set_links("alice", "bob", GOOD)
        for _ in range(20):
            self.run(RECOVERY)
            self.read_all()
            if not any(self.connection(side).statistics.sctp.buffered_size for side in SIDES):
                break
        self.read_all()
        for label, channel in self.channels.items():
            channel.check_complete()
            for side, channel_id in channel.ids.items():
                assert self.connection(side).buffered_amount(channel_id) == 0, label
                assert self.connection(side).unacknowledged_amount(channel_id) == 0, label
        self.check_alive()
        assert [self.connection(side).state for side in SIDES] == [ConnectionState.CONNECTED] * 2

    def check_alive(self) -> None:
        """Whatever was lost or abandoned before, what is sent now on a good path arrives, on every kind of channel."""
        expected = []
        for label, channel in self.channels.items():
            life_time = channel.parameters.max_packet_life_time
            if len(channel.ids) < len(SIDES) or channel.closers or (life_time is not None and life_time < 1.0):
                continue  # what lives for less than the congestion window needs may be given up
            for side in SIDES:
                before = len(channel.directions[side].sent)
                self.send(side, label, 3000, is_text=False)
                assert len(channel.directions[side].sent) == before + 1, f"{label} does not take a message"
                expected.append((label, side, channel.directions[side].sent[-1]))
        self.run(1.0)
        self.read_all()
        for label, side, message in expected:
            assert message in self.channels[label].directions[side].received, f"{label} from {side} is stuck"

    def close(self, side: str) -> None:
        """End the connection from one side; both come to their end."""
        self.connection(side).close(self.peers.now)
        self.peers.run(lambda: all(self.connection(each).is_over for each in SIDES), timeout=10.0)
        self.observe()
        assert [self.connection(each).state for each in SIDES] == [ConnectionState.CLOSED] * 2
