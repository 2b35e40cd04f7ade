"""`ChannelMux`: channels over the streams of one association (RFC 8831, RFC 8832)."""

from __future__ import annotations

import math
import sys
from collections.abc import KeysView, Sequence
from typing import Final, final

from xp2p_trio.datachannel import ppid as ppids
from xp2p_trio.datachannel.channel import Channel, ChannelRecord
from xp2p_trio.datachannel.configuration import Configuration
from xp2p_trio.datachannel.dcep import Ack, Open, decode_dcep
from xp2p_trio.datachannel.early import EarlyMessages
from xp2p_trio.datachannel.events import Event
from xp2p_trio.datachannel.inbox import MESSAGE_OVERHEAD
from xp2p_trio.datachannel.lifecycle import Lifecycle
from xp2p_trio.datachannel.parameters import ChannelParameters
from xp2p_trio.datachannel.state import ChannelState, Input
from xp2p_trio.datachannel.statistics import Statistics
from xp2p_trio.datachannel.streams import ResetProgress
from xp2p_trio.errors import DecodeError, InvalidArgument, InvalidState, MessageTooLarge
from xp2p_trio.sansio import Closed
from xp2p_trio.sctp import Message, OutgoingMessage

MAX_SIZE_BEFORE_ASSOCIATION: Final = 65536
"""Bytes of a message before the peer's limit is known: what RFC 8841 section 6.1 says it is by default."""

_STRING: Final = ppids.STRING
_BINARY: Final = ppids.BINARY
_DCEP: Final = ppids.DCEP


@final
class ChannelMux:
    """Many channels on one association, as a `Carrier` of (channel id, message).

    It has no timers. Channels may be made and messages sent before `associate`; they leave afterwards. What a channel
    received is kept until it is taken, also when the peer has closed the channel or the association is over; a
    channel that this program closed keeps nothing.

    The association's messages go to `receive` before its reset events go to `incoming_streams_reset`, and what
    `transmit` gives goes to the association before the streams of `ResetRequested` are reset.

    Args:
        configuration: the limits.
    """

    def __init__(self, configuration: Configuration) -> None:
        self._channels = Lifecycle(configuration)
        self._records = self._channels.records
        self._outgoing = self._channels.outgoing
        self._inbox = self._channels.inbox
        self._streams = self._channels.streams
        self._early = EarlyMessages(configuration.max_early_size)
        self._reused = EarlyMessages(sys.maxsize)  # of streams whose reset of ours is not confirmed; see `unread_size`
        self._parked: list[Message] = []  # what came before `associate`
        self._max_message_size = MAX_SIZE_BEFORE_ASSOCIATION
        self._is_closed = False

    # --- commands

    def associate(
        self, *, is_dtls_client: bool, outbound_streams: int, remote_max_message_size: int, now: float
    ) -> None:
        """The association is up: stream ids are assigned and what waits leaves.

        A channel for which the association has no stream is closed. So is one that has a message queued which is
        larger than the peer takes.

        Args:
            is_dtls_client: our DTLS role, which says whether our ids are even (RFC 8832 section 6).
            outbound_streams: how many streams the association has in our direction.
            remote_max_message_size: bytes of the largest message that the peer takes; 0 for any.
            now: absolute seconds.

        Raises:
            InvalidState: it is up already.
        """
        if self._streams.is_associated:
            raise InvalidState("the association is up already; associate() is called once")
        if self._is_closed:
            return
        self._max_message_size = remote_max_message_size or sys.maxsize
        self._streams.associate(is_dtls_client=is_dtls_client, outbound_streams=outbound_streams)
        for record in list(self._records.values()):
            self._channels.start(record, self._max_message_size)
        parked, self._parked = self._parked, []
        self.receive(parked, now)

    def open_channel(self, parameters: ChannelParameters, now: float) -> int:
        """Make a channel; announced to the peer, or negotiated by other means if `negotiated_id` is given.

        Returns:
            Its channel id: a number of this multiplexer, never reused and not the stream id.

        Raises:
            InvalidState: the association is over, or too many channels are open.
            InvalidArgument: the negotiated id is in use or beyond the streams of the association.
        """
        if self._is_closed:
            raise InvalidState("the association is over; channels are opened before close()")
        if self._channels.is_full:
            raise InvalidState(f"{len(self._records)} channels are open; close one with close_channel() first")
        stream_id = parameters.negotiated_id
        if stream_id is not None:
            if stream_id >= self._streams.limit:
                raise InvalidArgument(
                    f"negotiated_id is {stream_id}; the association has {self._streams.limit} streams"
                )
            if not self._streams.is_free(stream_id):
                raise InvalidArgument(f"negotiated_id is {stream_id}, which another channel has or is about to free")
        elif self._streams.is_associated and self._streams.assign() is None:
            raise InvalidState("no stream of the association is free; close a channel with close_channel() first")
        record = self._channels.open(parameters)
        if self._streams.is_associated:
            self._channels.start(record, self._max_message_size)
            if stream_id is not None:
                self._replay(stream_id)
        return record.channel_id

    def accept_channel(self, channel_id: int) -> None:
        """Say that the program knows of a channel that arrived. Sending to it or taking from it says so as well."""
        record = self._records.get(channel_id)
        if record is not None:
            self._channels.accept(record)

    def close_channel(self, channel_id: int, now: float) -> None:
        """Close a channel after what was accepted for it has left. Again is harmless. Unread messages are forgotten.

        Raises:
            InvalidArgument: there was never such a channel.
        """
        record = self._records.get(channel_id)
        if record is None:
            self._require_known(channel_id)
        else:
            self._channels.close_here(record)

    def incoming_streams_reset(self, stream_ids: Sequence[int], now: float) -> None:
        """The peer has reset these streams of its direction (RFC 8831 section 6.7); none named means all of them."""
        if not self._streams.is_associated or self._is_closed:
            return
        for stream_id in stream_ids or list(self._streams.owners):
            match self._streams.incoming_reset(stream_id):
                case ResetProgress.REQUESTED:
                    self._early.take(stream_id)
                    record = self._streams.owners.get(stream_id)
                    if record is not None:
                        self._channels.close_for_peer(record, Input.PEER_RESET)
                    self._channels.request_reset(stream_id)
                case ResetProgress.COMPLETED:
                    self._free(stream_id)
                case ResetProgress.PENDING:
                    pass

    def outgoing_streams_reset(self, stream_ids: Sequence[int], now: float) -> None:
        """These streams of our direction are reset, as `ResetRequested` asked."""
        if self._is_closed:
            return
        for stream_id in stream_ids:
            if self._streams.outgoing_reset(stream_id) is ResetProgress.COMPLETED:
                self._free(stream_id)

    def outgoing_streams_reset_denied(self, stream_ids: Sequence[int], now: float) -> None:
        """The peer refuses to reset these streams, or cannot: their channels are closed, and no other ever has them.

        RFC 8831 section 6.2 requires stream reset. Without it a channel can only be closed on this side: the peer's
        direction will never be reset, and waiting for that would keep the channel closing to the end.
        """
        if self._is_closed:
            return
        for stream_id in stream_ids:
            if self._streams.outgoing_denied(stream_id):
                self._reused.take(stream_id)
                record = self._streams.owners.get(stream_id)
                if record is not None:
                    self._channels.finish(record, Input.STREAMS_RESET)

    def close(self, now: float) -> None:
        """The association is over: every channel is closed, and nothing happens any more. Unread messages remain."""
        if self._is_closed:
            return
        self._is_closed = True
        for record in list(self._records.values()):
            record.discard_queue()
            self._channels.finish(record, Input.ENDED)
        self._outgoing.clear()
        self._early.clear()
        self._reused.clear()
        self._parked.clear()
        self._channels.events.append(Closed())

    # --- what is known

    def channel(self, channel_id: int) -> Channel:
        """A view of the channel, which stays current.

        Of the closed ones the last `max_open_channels` are remembered, and fewer where their labels are very long.

        Raises:
            InvalidArgument: there was never such a channel, or it was closed long ago.
        """
        record = self._records.get(channel_id) or self._channels.retired.get(channel_id)
        if record is None:
            raise InvalidArgument(f"channel {channel_id} does not exist or was closed long ago")
        return record.view

    def buffered_size(self, channel_id: int) -> int:
        """Bytes that were accepted for a channel and are not yet handed to the association."""
        record = self._records.get(channel_id)
        return 0 if record is None else record.queued_size

    def stream_id(self, channel_id: int) -> int | None:
        """The stream that a channel holds; None before it has one, and when it is closed."""
        record = self._records.get(channel_id)
        return None if record is None or record.state is ChannelState.CLOSED else record.stream_id

    @property
    def unread_channels(self) -> KeysView[int]:
        """The ids of the channels that have unread messages, as a view that stays current."""
        return self._inbox.channel_ids

    @property
    def unread_size(self) -> int:
        """Bytes that were received and not taken, those that wait for their channel among them.

        Each message counts at least 128 more for what it costs beside its bytes, or many tiny ones would count little.
        Not counted is what `max_early_size` limits: it may wait for ever, and would hold back everything else.
        """
        return (
            self._inbox.size + self._reused.size + sum(len(message.data) + MESSAGE_OVERHEAD for message in self._parked)
        )

    @property
    def statistics(self) -> Statistics:
        """A snapshot of the counters."""
        return self._channels.statistics()

    # --- the five words, and the two of a carrier

    def receive(self, batch: Sequence[Message], now: float) -> None:
        """Take messages from the association, in its order."""
        if self._is_closed:
            return
        if not self._streams.is_associated:
            self._parked.extend(batch)
            return
        owners = self._streams.owners
        put = self._inbox.put
        for message in batch:
            record = owners.get(message.stream_id)
            ppid = message.ppid
            if record is None or not record.takes_plain:
                self._receive_other(message)
            elif ppid == _BINARY:
                put(record, message.data, len(message.data))
            elif ppid == _STRING:
                try:
                    text = message.data.decode()
                except UnicodeDecodeError:
                    self._channels.fail(record)
                else:
                    put(record, text, len(message.data))
            else:
                self._receive_other(message)

    def handle_timeout(self, now: float) -> None:
        """Nothing is ever due."""

    def next_timeout(self) -> float:
        """Never."""
        return math.inf

    def take_events(self) -> list[Event]:
        """Drain the news, oldest first."""
        events, self._channels.events = self._channels.events, []
        return events

    def send(self, items: Sequence[tuple[int, str | bytes]], now: float) -> None:
        """Queue messages, each for the channel of its id: all of them, or none.

        Raises:
            InvalidState: a channel is closing or closed.
            InvalidArgument: a message is neither `str` nor `bytes`, or a text has a lone surrogate.
            MessageTooLarge: a message is larger than the peer takes, or, before `associate`, than 65536 bytes.
        """
        records = self._records
        limit = self._max_message_size
        entries: list[tuple[ChannelRecord, int, bytes, int]] = []
        for channel_id, message in items:
            record = records.get(channel_id)
            if record is None or not record.is_sendable:
                raise self._not_sendable(channel_id)
            if type(message) is bytes:
                ppid, data = _BINARY, message
            else:
                ppid, data = _encode(message)
            size = len(data)
            if size > limit:
                raise MessageTooLarge(size, limit)
            if not size:
                ppid = ppids.BINARY_EMPTY if ppid == _BINARY else ppids.STRING_EMPTY
                data = ppids.EMPTY_PAYLOAD
            entries.append((record, ppid, data, size))
        is_associated = self._streams.is_associated
        for record, ppid, data, size in entries:
            record.queued_count += 1
            record.queued_size += size
            if not record.is_accepted:
                self._channels.accept(record)
            if not is_associated:
                record.held.append((ppid, data, size))
        if is_associated:
            self._outgoing.extend(entries)

    def transmit(self, now: float, limit: int) -> list[OutgoingMessage]:
        """Hand over at most `limit` messages to the association, in the order in which they were accepted."""
        outgoing = self._outgoing
        built: list[OutgoingMessage] = []
        while outgoing and len(built) < limit:
            record, ppid, data, size = outgoing.popleft()
            if record.is_discarding:
                continue
            stream_id = record.stream_id
            assert stream_id is not None  # only what has a stream is queued here
            if ppid == _DCEP:
                built.append(OutgoingMessage(stream_id, ppid, data))  # RFC 8832 section 6: ordered and reliable
            else:
                ordered = record.sends_ordered
                built.append(OutgoingMessage(stream_id, ppid, data, ordered, record.max_retransmits, record.lifetime))
                record.messages_sent += 1
                record.bytes_sent += size
                record.queued_size -= size
            record.queued_count -= 1
            if not record.queued_count and not record.is_sendable:
                self._channels.begin_reset(record)  # closing, and all that was accepted has left
        return built

    def take_received(self) -> list[tuple[int, str | bytes]]:
        """Drain all unread messages as (channel id, message), in the order of their arrival."""
        messages, records = self._inbox.take_all()
        for record in records:
            self._channels.accept(record)
            if record.state is ChannelState.CLOSED:
                self._channels.retire(record)
        return messages

    def take_message(self, channel_id: int) -> str | bytes | None:
        """Take the oldest unread message of one channel; None if there is none."""
        record = self._records.get(channel_id)
        if record is None:
            return None
        if not record.is_accepted:
            self._channels.accept(record)
        message = self._inbox.take(record)
        if not record.unread and record.state is ChannelState.CLOSED:
            self._channels.retire(record)
        return message

    # --- messages off the beaten path

    def _receive_other(self, message: Message) -> None:
        """A message of DCEP, empty or partial, or on a stream whose channel is not simply open."""
        stream_id = message.stream_id
        if self._streams.awaits_only_ours(stream_id):
            # The peer has seen our reset and reuses the stream; its confirmation is still on the way.
            self._reused.keep(message)
            return
        record = self._streams.owners.get(stream_id)
        if record is None:
            self._receive_unowned(message)
        elif message.ppid == _DCEP:
            self._receive_dcep(record, message.data)
        else:
            self._receive_data(record, message.ppid, message.data)

    def _receive_unowned(self, message: Message) -> None:
        stream_id = message.stream_id
        if self._streams.is_resetting(stream_id) or message.ppid not in ppids.ALL:
            self._channels.dropped_count += 1
        elif message.ppid != _DCEP:
            if not self._early.keep(message):
                self._refuse(stream_id)  # RFC 8832 section 6: user data on an unused stream is an error
        else:
            try:
                announced = decode_dcep(message.data)
            except DecodeError:
                self._refuse(stream_id)
                return
            if not isinstance(announced, Open):
                self._channels.dropped_count += 1  # an acknowledgement of nothing
            elif self._channels.arrive(ChannelParameters.from_open(announced), stream_id):
                self._replay(stream_id)
            else:
                self._early.take(stream_id)

    def _receive_dcep(self, record: ChannelRecord, data: bytes) -> None:
        try:
            announced = decode_dcep(data)
        except DecodeError:
            self._channels.fail(record)
            return
        if not isinstance(announced, Ack):
            self._channels.fail(record)  # RFC 8832 section 6: an OPEN on a used stream closes its channel
        elif record.is_ours and record.parameters.negotiated_id is None:
            self._channels.confirm(record)
        else:
            self._channels.dropped_count += 1

    def _receive_data(self, record: ChannelRecord, ppid: int, data: bytes) -> None:
        self._channels.confirm(record)
        if record.is_closed_here:
            self._channels.dropped_count += 1
        elif ppid not in ppids.ALL:
            self._channels.fail(record)  # RFC 8831 section 6.6: an unsupported PPID closes the channel
        elif ppid in (ppids.STRING_PARTIAL, ppids.BINARY_PARTIAL):
            if not self._channels.partials.keep(record, ppid, data):
                self._channels.fail(record)
        else:
            is_text = ppid in (_STRING, ppids.STRING_EMPTY)
            if ppid in (ppids.STRING_EMPTY, ppids.BINARY_EMPTY):
                data = b""
            part_ppid = ppids.STRING_PARTIAL if is_text else ppids.BINARY_PARTIAL
            whole = self._channels.partials.finish(record, part_ppid, data)
            try:
                message = whole.decode() if is_text and whole is not None else whole
            except UnicodeDecodeError:
                message = None
            if whole is None or message is None:
                self._channels.fail(record)
            else:
                self._inbox.put(record, message, len(whole))

    def _replay(self, stream_id: int) -> None:
        """Take what came before the channel of the stream."""
        for message in (*self._early.take(stream_id), *self._reused.take(stream_id)):
            self._receive_other(message)

    def _refuse(self, stream_id: int) -> None:
        self._early.take(stream_id)
        self._channels.refuse(stream_id)

    def _free(self, stream_id: int) -> None:
        """Both directions are reset: the channel is closed, and the stream may have another."""
        record = self._streams.owners.get(stream_id)
        if record is not None:
            self._channels.finish(record, Input.STREAMS_RESET)
        self._replay(stream_id)

    def _require_known(self, channel_id: int) -> None:
        if not 0 <= channel_id < self._channels.next_channel_id:
            raise InvalidArgument(f"there is no channel {channel_id}; open_channel() and ChannelArrived name them")

    def _not_sendable(self, channel_id: int) -> InvalidState:
        self._require_known(channel_id)
        record = self._records.get(channel_id)
        state = ChannelState.CLOSED if record is None else record.state
        return InvalidState(f"channel {channel_id} is {state.name.lower()}; only a connecting or open channel sends")


def _encode(message: object) -> tuple[int, bytes]:
    """The PPID and the payload of a message that is no plain `bytes`."""
    if isinstance(message, str):
        try:
            return _STRING, message.encode()
        except UnicodeEncodeError:
            raise InvalidArgument("text has a lone surrogate, which UTF-8 does not encode") from None
    if isinstance(message, bytes | bytearray | memoryview):
        return _BINARY, bytes(message)
    raise InvalidArgument(f"message is a {type(message).__name__}; it must be str or bytes")
