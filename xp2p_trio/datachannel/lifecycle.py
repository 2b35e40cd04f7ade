"""How channels come, change and go: the steps that the commands of the program and the messages of the peer share."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final, final

from xp2p_trio.datachannel import ppid as ppids
from xp2p_trio.datachannel.channel import ChannelRecord
from xp2p_trio.datachannel.configuration import Configuration
from xp2p_trio.datachannel.dcep import encode_ack, encode_open
from xp2p_trio.datachannel.events import (
    ChannelArrived,
    ChannelClosed,
    ChannelClosing,
    ChannelOpened,
    Event,
    ResetRequested,
)
from xp2p_trio.datachannel.inbox import Inbox
from xp2p_trio.datachannel.parameters import ChannelParameters
from xp2p_trio.datachannel.partial import PartialMessages
from xp2p_trio.datachannel.state import ChannelState, Input
from xp2p_trio.datachannel.statistics import Statistics
from xp2p_trio.datachannel.streams import StreamTable

MAX_IDLE_TEXT_SIZE: Final = 1024 * 1024
"""Characters of the labels and protocols of all channels that the program has not touched, and of all that are closed
and remembered. A peer chooses up to 131,070 for each (RFC 8832 section 5.1)."""


@final
class Lifecycle:
    """All channels of a multiplexer.

    Attributes:
        records: the channels that are not closed or have something unread, by channel id.
        retired: the last ones of the others.
        streams: who holds which stream pair.
        inbox: what waits for the program.
        partials: what is not yet a whole message.
        outgoing: what waits for the association: channel, PPID, payload and its size as a user message.
        events: the news.
        next_channel_id: the number of the next channel.
        dropped_count: messages that were of no use.
    """

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self.records: dict[int, ChannelRecord] = {}
        self.retired: OrderedDict[int, ChannelRecord] = OrderedDict()
        self.streams = StreamTable()
        self.inbox = Inbox()
        self.partials = PartialMessages(configuration.max_partial_size)
        self.outgoing: deque[tuple[ChannelRecord, int, bytes, int]] = deque()
        self.events: list[Event] = []
        self.next_channel_id = 0
        self.dropped_count = 0
        self._discarded_count = 0
        self._unaccepted_count = 0
        self._unaccepted_text_size = 0
        self._retired_text_size = 0
        self._arrived_count = 0
        self._refused_count = 0
        self._failed_count = 0
        self._closed_count = 0
        self._retired_totals = (0, 0, 0, 0)

    @property
    def is_full(self) -> bool:
        """Whether no further channel may be open."""
        return len(self.records) >= self._configuration.max_open_channels

    def open(self, parameters: ChannelParameters) -> ChannelRecord:
        """Make a channel of ours; it has a stream already only if it is negotiated."""
        return self._make(parameters, parameters.negotiated_id, is_ours=True)

    def start(self, record: ChannelRecord, max_message_size: int) -> bool:
        """Give a channel of ours its stream, now that the association is up; False if there is none for it."""
        negotiated_id = record.parameters.negotiated_id
        stream_id = self.streams.assign() if negotiated_id is None else negotiated_id
        if stream_id is None or stream_id >= self.streams.limit:
            self._discard_queue(record)
            self.finish(record, Input.ENDED)
            return False
        record.stream_id = stream_id
        self.streams.owners[stream_id] = record
        if negotiated_id is None:
            self._queue_dcep(record, encode_open(record.parameters.to_open()))
        else:
            self.confirm(record)
        held, record.held = record.held, []
        self.outgoing.extend((record, *entry) for entry in held)
        if any(size > max_message_size for _, _, size in held):
            self.fail(record)
        elif not record.is_sendable and not record.queued_count:
            self.begin_reset(record)
        return True

    def arrive(self, parameters: ChannelParameters, stream_id: int) -> bool:
        """The peer opens a channel: acknowledge it, or refuse the stream; whether it was acknowledged."""
        if (
            not self.streams.is_of_peer(stream_id)
            or self.is_full
            or self._unaccepted_count >= self._configuration.max_unaccepted
            or self._unaccepted_text_size + parameters.text_size > MAX_IDLE_TEXT_SIZE
        ):
            self.refuse(stream_id)
            return False
        record = self._make(parameters, stream_id, is_ours=False)
        self._arrived_count += 1
        self._unaccepted_count += 1
        self._unaccepted_text_size += parameters.text_size
        record.move(Input.CONFIRMED)
        record.sends_ordered = parameters.ordered
        self.events.append(ChannelArrived(record.channel_id))
        self._queue_dcep(record, encode_ack())
        return True

    def confirm(self, record: ChannelRecord) -> None:
        """The peer knows of the channel: from now on messages leave as the channel says (RFC 8832 section 6)."""
        record.sends_ordered = record.parameters.ordered
        if record.move(Input.CONFIRMED):
            self.events.append(ChannelOpened(record.channel_id))

    def accept(self, record: ChannelRecord) -> None:
        """The program knows of the channel."""
        if not record.is_accepted:
            record.is_accepted = True
            self._unaccepted_count -= 1
            self._unaccepted_text_size -= record.parameters.text_size

    def close_here(self, record: ChannelRecord) -> None:
        """The program closes the channel: nobody will read, and its stream is reset once its queue has left."""
        self.accept(record)
        self.inbox.forget(record)
        self.partials.forget(record)
        record.is_closed_here = True
        if record.state is ChannelState.CLOSED:
            self.retire(record)
        elif self.streams.is_associated:
            if record.move(Input.CLOSE) and not record.queued_count:
                self.begin_reset(record)
        elif record.held or record.stream_id is not None:
            record.move(Input.CLOSE)  # the peer is told once the association is up
        else:
            self.finish(record, Input.ENDED)

    def close_for_peer(self, record: ChannelRecord, step: Input) -> None:
        """The peer takes nothing more: forget what is queued for it."""
        self._discard_queue(record)
        self.partials.forget(record)
        if record.move(step):
            self.events.append(ChannelClosing(record.channel_id))

    def fail(self, record: ChannelRecord) -> None:
        """The peer broke a rule of the channel: close it (RFC 8831 section 6.6, RFC 8832 section 6)."""
        stream_id = record.stream_id
        assert stream_id is not None  # the peer reaches a channel by its stream
        if self.streams.is_resetting(stream_id):
            self.dropped_count += 1
            return
        self._failed_count += 1
        self.close_for_peer(record, Input.CLOSE)
        self.begin_reset(record)

    def refuse(self, stream_id: int) -> None:
        """Reset a stream that has no channel, instead of an acknowledgement (RFC 8832 section 6)."""
        self._refused_count += 1
        if self.streams.begin_reset(stream_id):
            self.request_reset(stream_id)

    def begin_reset(self, record: ChannelRecord) -> None:
        """Reset the stream pair of a closing channel."""
        stream_id = record.stream_id
        if stream_id is not None and self.streams.begin_reset(stream_id):
            self.request_reset(stream_id)

    def request_reset(self, stream_id: int) -> None:
        """Ask for the reset of our direction, together with those asked for just before."""
        last = self.events[-1] if self.events else None
        if isinstance(last, ResetRequested):
            self.events[-1] = ResetRequested((*last.stream_ids, stream_id))
        else:
            self.events.append(ResetRequested((stream_id,)))

    def finish(self, record: ChannelRecord, step: Input) -> None:
        """A channel is closed; what it has unread remains."""
        if record.stream_id is not None:
            self.streams.owners.pop(record.stream_id, None)
        self.partials.forget(record)
        if record.move(step):
            self._closed_count += 1
            self.events.append(ChannelClosed(record.channel_id))
        if not record.unread:
            self.retire(record)

    def retire(self, record: ChannelRecord) -> None:
        """A channel that is closed and has nothing unread: remember it for a while, and free its place."""
        if self.records.pop(record.channel_id, None) is None:
            return
        self.accept(record)
        sent, sent_size, received, received_size = self._retired_totals
        self._retired_totals = (
            sent + record.messages_sent,
            sent_size + record.bytes_sent,
            received + record.messages_received,
            received_size + record.bytes_received,
        )
        self.retired[record.channel_id] = record
        self._retired_text_size += record.parameters.text_size
        while len(self.retired) > self._configuration.max_open_channels or self._retired_text_size > MAX_IDLE_TEXT_SIZE:
            _, forgotten = self.retired.popitem(last=False)
            self._retired_text_size -= forgotten.parameters.text_size

    def statistics(self) -> Statistics:
        """A snapshot of the counters."""
        messages_sent, bytes_sent, messages_received, bytes_received = self._retired_totals
        for record in self.records.values():
            messages_sent += record.messages_sent
            bytes_sent += record.bytes_sent
            messages_received += record.messages_received
            bytes_received += record.bytes_received
        return Statistics(
            channels_opened=self.next_channel_id - self._arrived_count,
            channels_arrived=self._arrived_count,
            channels_refused=self._refused_count,
            channels_failed=self._failed_count,
            channels_closed=self._closed_count,
            messages_sent=messages_sent,
            bytes_sent=bytes_sent,
            messages_received=messages_received,
            bytes_received=bytes_received,
            messages_dropped=self.dropped_count,
        )

    def _make(self, parameters: ChannelParameters, stream_id: int | None, *, is_ours: bool) -> ChannelRecord:
        record = ChannelRecord(self.next_channel_id, parameters, stream_id, is_ours=is_ours)
        self.next_channel_id += 1
        self.records[record.channel_id] = record
        if stream_id is not None:
            self.streams.owners[stream_id] = record
        return record

    def _discard_queue(self, record: ChannelRecord) -> None:
        """Forget what is queued for a peer that takes nothing more of the channel."""
        self._discarded_count += record.queued_count
        record.discard_queue()
        # Nothing is taken from the queue while SCTP has no room, and meanwhile a peer may open and close channels.
        if self._discarded_count > len(self.outgoing) // 2:
            self._discarded_count = 0
            kept = [entry for entry in self.outgoing if not entry[0].is_discarding]
            self.outgoing.clear()
            self.outgoing.extend(kept)

    def _queue_dcep(self, record: ChannelRecord, data: bytes) -> None:
        record.queued_count += 1
        self.outgoing.append((record, ppids.DCEP, data, 0))
