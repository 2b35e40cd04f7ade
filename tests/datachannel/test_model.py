"""Two multiplexers over a model of SCTP against what the programs on both sides did."""

from __future__ import annotations

from collections import Counter

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.datachannel.model import Pair, Side
from xp2p_trio.datachannel import (
    ChannelArrived,
    ChannelClosed,
    ChannelClosing,
    ChannelOpened,
    ChannelParameters,
    ChannelState,
)
from xp2p_trio.errors import InvalidArgument, InvalidState

Message = str | bytes
RELIABILITY = st.sampled_from([{}, {"max_retransmits": 0}, {"max_retransmits": 7}, {"max_packet_life_time": 0.25}])


@attrs.define
class End:
    """What one program knows of one channel."""

    channel_id: int
    sent: list[Message] = attrs.Factory(list)
    received: list[Message] = attrs.Factory(list)
    closed_here: bool = False


@attrs.define(eq=False)
class Shared:
    """One channel as both programs know it."""

    parameters: ChannelParameters
    opener: Side
    ends: dict[bool, End] = attrs.Factory(dict)  # by whether the side is the opener


class Channels(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.serial = 0
        self.channels: list[Shared] = []
        self.by_label: dict[str, Shared] = {}
        self.is_associated = False

    @initialize(associated=st.booleans())
    def connect(self, associated: bool) -> None:
        self.pair = Pair(associate=associated)
        self.sides = [self.pair.client, self.pair.server]
        self.seen = {0: 0, 1: 0}
        self.is_associated = associated

    # --- what the programs do

    @rule(
        side=st.integers(0, 1),
        ordered=st.booleans(),
        reliability=RELIABILITY,
        text=st.text(max_size=3),
        priority=st.integers(0, 65535),
    )
    def open(self, side: int, ordered: bool, reliability: dict[str, float], text: str, priority: int) -> None:
        self.serial += 1
        parameters = ChannelParameters(
            f"{self.serial} {text}",
            text,
            ordered=ordered,
            priority=priority,
            **reliability,  # type: ignore[arg-type]
        )
        channel_id = self.sides[side].mux.open_channel(parameters, 0.0)
        shared = Shared(parameters, self.sides[side], {True: End(channel_id)})
        self.channels.append(shared)
        self.by_label[parameters.label] = shared

    @rule(number=st.integers(1000, 1002), ordered=st.booleans())
    def negotiate(self, number: int, ordered: bool) -> None:
        parameters = ChannelParameters("negotiated", ordered=ordered, negotiated_id=number)
        try:
            first = self.sides[0].mux.open_channel(parameters, 0.0)
        except InvalidArgument:
            return
        try:
            second = self.sides[1].mux.open_channel(parameters, 0.0)
        except InvalidArgument:
            self.sides[0].mux.close_channel(first, 0.0)
            self.sides[0].observe()
            return
        self.channels.append(Shared(parameters, self.sides[0], {True: End(first), False: End(second)}))

    @precondition(lambda self: self.channels)
    @rule(data=st.data(), kind=st.sampled_from("tbTB"), count=st.integers(1, 3))
    def send(self, data: st.DataObject, kind: str, count: int) -> None:
        _, side, end = self.draw_end(data)
        messages = []
        for _ in range(count):
            self.serial += 1
            messages.append({"t": f"№{self.serial}", "b": b"%d" % self.serial, "T": "", "B": b""}[kind])
        before = side.mux.buffered_size(end.channel_id)
        sendable = not end.closed_here and self.state(side, end) <= ChannelState.OPEN
        try:
            side.mux.send([(end.channel_id, message) for message in messages], 0.0)
        except InvalidState:
            assert not sendable
            assert side.mux.buffered_size(end.channel_id) == before
            return
        assert sendable
        end.sent += messages
        size = sum(len(message.encode() if isinstance(message, str) else message) for message in messages)
        assert side.mux.buffered_size(end.channel_id) == before + size

    @precondition(lambda self: self.channels)
    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        _, side, end = self.draw_end(data)
        self.take_all(side)
        end.closed_here = True
        side.mux.close_channel(end.channel_id, 0.0)
        assert side.mux.take_message(end.channel_id) is None

    @precondition(lambda self: self.channels)
    @rule(data=st.data())
    def take_one(self, data: st.DataObject) -> None:
        _, side, end = self.draw_end(data)
        message = side.mux.take_message(end.channel_id)
        if message is not None:
            end.received.append(message)

    @rule(side=st.integers(0, 1))
    def take_everything(self, side: int) -> None:
        self.take_all(self.sides[side])
        assert self.sides[side].mux.unread_size == 0

    # --- what the association does

    @precondition(lambda self: not self.is_associated)
    @rule()
    def associate(self) -> None:
        self.is_associated = True
        self.pair.associate()

    @rule(side=st.integers(0, 1), limit=st.integers(0, 3))
    def transmit(self, side: int, limit: int) -> None:
        messages = self.sides[side].transmit(limit)
        assert len(messages) <= limit
        for message in messages:
            if message.ppid == 50:
                assert (message.ordered, message.max_retransmits, message.lifetime) == (True, None, None)

    @rule(side=st.integers(0, 1), data=st.data())
    def deliver(self, side: int, data: st.DataObject) -> None:
        sender = self.sides[side]
        if positions := sender.link.deliverable():
            self.pair.deliver(sender, data.draw(st.sampled_from(positions)))

    @rule(side=st.integers(0, 1), data=st.data())
    def abandon(self, side: int, data: st.DataObject) -> None:
        sender = self.sides[side]
        if positions := sender.link.abandonable():
            sender.link.take(data.draw(st.sampled_from(positions)))

    @rule(side=st.integers(0, 1), data=st.data())
    def confirm(self, side: int, data: st.DataObject) -> None:
        sender = self.sides[side]
        if sender.link.confirmations:
            self.pair.confirm(sender, data.draw(st.integers(0, len(sender.link.confirmations) - 1)))

    # --- what must hold

    @invariant()
    def events_are_in_order(self) -> None:
        if not hasattr(self, "pair"):
            return
        for index, side in enumerate(self.sides):
            side.observe()
            for event in side.events[self.seen[index] :]:
                self.check_event(side, event)
            self.seen[index] = len(side.events)

    def check_event(self, side: Side, event: object) -> None:
        assert isinstance(event, ChannelArrived | ChannelOpened | ChannelClosing | ChannelClosed)
        channel = side.mux.channel(event.channel_id)
        history = [type(past) for past in side.events if getattr(past, "channel_id", None) == event.channel_id]
        assert max(Counter(history).values()) == 1
        assert [ChannelArrived, ChannelOpened, ChannelClosing, ChannelClosed].index(history[-1]) + 1 >= len(history)
        if isinstance(event, ChannelArrived):
            shared = self.by_label[channel.label]
            opened = shared.opener.mux.channel(shared.ends[True].channel_id)
            assert shared.opener is not side
            assert channel.parameters == shared.parameters
            assert channel.stream_id == opened.stream_id
            assert channel.stream_id is not None
            assert channel.stream_id % 2 == (1 if side is self.pair.client else 0)
            shared.ends[False] = End(event.channel_id)

    @invariant()
    def no_stream_has_two_channels(self) -> None:
        if not hasattr(self, "pair"):
            return
        for side in self.sides:
            live = [
                side.mux.channel(end.channel_id).stream_id
                for shared in self.channels
                for end in self.ends_of(side, shared)
                if self.state(side, end) is not ChannelState.CLOSED
            ]
            assigned = [stream_id for stream_id in live if stream_id is not None]
            assert len(assigned) == len(set(assigned))

    @invariant()
    def what_arrives_was_sent(self) -> None:
        for shared in self.channels:
            for is_opener, end in shared.ends.items():
                self.check_received(shared, end, shared.ends.get(not is_opener))

    def teardown(self) -> None:
        if not hasattr(self, "pair"):
            return
        if not self.is_associated:
            self.associate()
        self.pair.settle()
        self.events_are_in_order()
        for side in self.sides:
            self.take_all(side)
        self.what_arrives_was_sent()
        for shared in self.channels:
            self.check_end(shared)

    def check_end(self, shared: Shared) -> None:
        closed = {is_opener: end.closed_here for is_opener, end in shared.ends.items()}
        for is_opener, end in shared.ends.items():
            side = self.side_of(shared, is_opener)
            assert side.mux.buffered_size(end.channel_id) == 0
            expected = ChannelState.CLOSED if any(closed.values()) else ChannelState.OPEN
            assert self.state(side, end) is expected
        if closed == {True: True} and not shared.ends[True].sent:
            return  # closed before it was announced
        assert len(shared.ends) == 2
        if shared.parameters.max_retransmits is None and shared.parameters.max_packet_life_time is None:
            for is_opener, end in shared.ends.items():
                if not end.closed_here:  # also when the other program closed: what it had sent has come
                    assert Counter(map(repr, end.received)) == Counter(map(repr, shared.ends[not is_opener].sent))

    def check_received(self, shared: Shared, end: End, other: End | None) -> None:
        sent = [] if other is None else other.sent
        received, is_reliable = end.received, shared.parameters.max_retransmits is None
        is_reliable = is_reliable and shared.parameters.max_packet_life_time is None
        assert Counter(map(repr, received)) <= Counter(map(repr, sent))
        if shared.parameters.ordered and is_reliable:
            assert list(map(repr, received)) == list(map(repr, sent[: len(received)]))
        elif shared.parameters.ordered:
            numbered = [message for message in sent if message]
            positions = [numbered.index(message) for message in received if message]
            assert positions == sorted(positions)

    # --- helpers

    def draw_end(self, data: st.DataObject) -> tuple[Shared, Side, End]:
        shared = data.draw(st.sampled_from(self.channels[-6:]))
        is_opener = data.draw(st.sampled_from(sorted(shared.ends)))
        return shared, self.side_of(shared, is_opener), shared.ends[is_opener]

    def side_of(self, shared: Shared, is_opener: bool) -> Side:
        return shared.opener if is_opener else self.pair.other(shared.opener)

    def ends_of(self, side: Side, shared: Shared) -> list[End]:
        end = shared.ends.get(side is shared.opener)
        return [] if end is None else [end]

    def state(self, side: Side, end: End) -> ChannelState:
        return side.mux.channel(end.channel_id).state

    def take_all(self, side: Side) -> None:
        ends = {end.channel_id: end for shared in self.channels for end in self.ends_of(side, shared)}
        for channel_id, message in side.mux.take_received():
            ends[channel_id].received.append(message)


TestChannels = Channels.TestCase
