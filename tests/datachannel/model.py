"""A model of SCTP between two multiplexers: what it may reorder, lose and delay, and nothing else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import attrs

from xp2p_trio import sctp
from xp2p_trio.datachannel import ChannelMux, Configuration, Event, ResetRequested

RESET = None


@attrs.define
class Link:
    """One direction of an association.

    Attributes:
        streams: for each stream the messages under way, and RESET where the stream was reset.
        confirmations: streams whose reset the sender has not heard of yet.
    """

    streams: dict[int, list[sctp.OutgoingMessage | None]] = attrs.Factory(lambda: defaultdict(list))
    confirmations: list[int] = attrs.Factory(list)
    unconfirmed: set[int] = attrs.Factory(set)

    def put(self, messages: Sequence[sctp.OutgoingMessage]) -> None:
        for message in messages:
            assert message.stream_id not in self.unconfirmed, "a stream is used while its reset is under way"
            assert message.data, "SCTP has no empty messages"
            self.streams[message.stream_id].append(message)

    def reset(self, stream_ids: Sequence[int]) -> None:
        for stream_id in stream_ids:
            assert stream_id not in self.unconfirmed, "a stream is reset twice"
            self.unconfirmed.add(stream_id)
            self.streams[stream_id].append(RESET)

    def deliverable(self) -> list[tuple[int, int]]:
        """Stream and index of what may arrive next: ordered messages in order, a reset after all before it."""
        found = []
        for stream_id, entries in self.streams.items():
            ordered_seen = False
            for index, entry in enumerate(entries):
                if entry is RESET:
                    if index == 0:
                        found.append((stream_id, index))
                    break
                if not entry.ordered or not ordered_seen:
                    found.append((stream_id, index))
                ordered_seen = ordered_seen or entry.ordered
        return found

    def abandonable(self) -> list[tuple[int, int]]:
        return [
            (stream_id, index)
            for stream_id, entries in self.streams.items()
            for index, entry in enumerate(entries)
            if entry is not RESET and (entry.max_retransmits is not None or entry.lifetime is not None)
        ]

    def take(self, position: tuple[int, int]) -> sctp.OutgoingMessage | None:
        stream_id, index = position
        return self.streams[stream_id].pop(index)


@attrs.define
class Side:
    """A multiplexer and the link from it."""

    mux: ChannelMux
    link: Link = attrs.Factory(Link)
    events: list[Event] = attrs.Factory(list)

    def observe(self) -> list[Event]:
        """Carry out what the multiplexer asks for; the other events are kept and returned."""
        news = self.mux.take_events()
        for event in news:
            if isinstance(event, ResetRequested):
                self.link.reset(event.stream_ids)
        kept = [event for event in news if not isinstance(event, ResetRequested)]
        self.events += kept
        return kept

    def transmit(self, limit: int = 1000) -> list[sctp.OutgoingMessage]:
        messages = self.mux.transmit(0.0, limit)
        self.link.put(messages)
        self.observe()
        return messages


class Pair:
    """Two sides; the first is the DTLS client."""

    def __init__(self, configuration: Configuration | None = None, *, associate: bool = True) -> None:
        self.client = Side(ChannelMux(configuration or Configuration()))
        self.server = Side(ChannelMux(configuration or Configuration()))
        if associate:
            self.associate()

    def associate(self, *, streams: int = 65535, max_message_size: int = 262144) -> None:
        for side in (self.client, self.server):
            side.mux.associate(
                is_dtls_client=side is self.client,
                outbound_streams=streams,
                remote_max_message_size=max_message_size,
                now=0.0,
            )
            side.observe()

    def other(self, side: Side) -> Side:
        return self.server if side is self.client else self.client

    def deliver(self, sender: Side, position: tuple[int, int]) -> None:
        receiver = self.other(sender)
        entry = sender.link.take(position)
        if entry is RESET:
            receiver.mux.incoming_streams_reset((position[0],), 0.0)
            sender.link.confirmations.append(position[0])
        else:
            receiver.mux.receive([sctp.Message(entry.stream_id, entry.ppid, entry.data)], 0.0)
        receiver.observe()

    def confirm(self, sender: Side, index: int) -> None:
        stream_id = sender.link.confirmations.pop(index)
        sender.link.unconfirmed.remove(stream_id)
        sender.mux.outgoing_streams_reset((stream_id,), 0.0)
        sender.observe()

    def settle(self) -> None:
        """Let everything arrive, oldest first, until nothing moves."""
        moved = True
        while moved:
            moved = False
            for side in (self.client, self.server):
                side.observe()
                moved = bool(side.transmit()) or moved
                while positions := side.link.deliverable():
                    self.deliver(side, positions[0])
                    moved = True
                while side.link.confirmations:
                    self.confirm(side, 0)
                    moved = True
