"""`ChannelMux`: channels over the streams of one association (RFC 8831, RFC 8832)."""

from __future__ import annotations

import math
import sys
from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import Final, final

from xp2p_trio.datachannel import ppid as ppids
from xp2p_trio.datachannel.channel import Channel, ChannelRecord
from xp2p_trio.datachannel.configuration import Configuration
from xp2p_trio.datachannel.dcep import Ack, Open, decode_dcep, encode_ack, encode_open
from xp2p_trio.datachannel.early import EarlyMessages
from xp2p_trio.datachannel.events import (
    ChannelArrived,
    ChannelClosed,
    ChannelClosing,
    ChannelOpened,
    Event,
    ResetRequested,
)
from xp2p_trio.datachannel.parameters import ChannelParameters
from xp2p_trio.datachannel.state import ChannelState, Input
from xp2p_trio.datachannel.statistics import Statistics
from xp2p_trio.datachannel.streams import ResetProgress, StreamTable
from xp2p_trio.errors import DecodeError, InvalidArgument, InvalidState, MessageTooLarge
from xp2p_trio.sansio import Closed
from xp2p_trio.sctp import Message, OutgoingMessage

MAX_SIZE_BEFORE_ASSOCIATION: Final = 65536
"""Bytes of a message before the peer's limit is known: what RFC 8841 section 6.1 says it is by default."""

_STRING: Final = ppids.STRING
_BINARY: Final = ppids.BINARY
_DCEP: Final = ppids.DCEP
_PART_OVERHEAD: Final = 64


@final
class ChannelMux:
    """Many channels on one association, as a `Carrier` of (channel id, message).

    It has no timers. Channels may be made and messages sent before `associate`; they leave afterwards. What a channel
    received is kept until it is taken, also when the peer has closed the channel or the association is over; a
    channel that this program closed keeps nothing.

    The association's messages go to `receive` before its reset events go to `incoming_streams_reset`.

    Args:
        configuration: the limits.
    """

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._records: dict[int, ChannelRecord] = {}  # until closed and taken
        self._retired: OrderedDict[int, ChannelRecord] = OrderedDict()
        self._next_channel_id = 0
        self._streams = StreamTable()
        self._owners = self._streams.owners
        self._early = EarlyMessages(configuration.max_early_size)
        self._parked: list[Message] = []  # what came before `associate`
        self._outgoing: deque[tuple[ChannelRecord, int, bytes, int]] = deque()
        self._ready: dict[int, ChannelRecord] = {}  # those with unread messages
        self._serial = 0
        self._unread_size = 0
        self._parts_size = 0
        self._unaccepted_count = 0
        self._max_message_size = MAX_SIZE_BEFORE_ASSOCIATION
        self._events: list[Event] = []
        self._is_associated = False
        self._is_closed = False
        self._channels_opened = 0
        self._channels_arrived = 0
        self._channels_refused = 0
        self._channels_failed = 0
        self._channels_closed = 0
        self._messages_dropped = 0
        self._retired_totals = (0, 0, 0, 0)

    # --- the life of channels

    def associate(
        self, *, is_dtls_client: bool, outbound_streams: int, remote_max_message_size: int, now: float
    ) -> None:
        """The association is up: stream ids are assigned and what waits leaves.

        Args:
            is_dtls_client: our DTLS role, which says whether our ids are even (RFC 8832 section 6).
            outbound_streams: how many streams the association has in our direction.
            remote_max_message_size: bytes of the largest message that the peer takes; 0 for any.
            now: absolute seconds.

        Raises:
            InvalidState: it is up already.
        """
        if self._is_associated:
            raise InvalidState("the association is up already; associate() is called once")
        if self._is_closed:
            return
        self._is_associated = True
        self._max_message_size = remote_max_message_size or sys.maxsize
        self._streams.associate(is_dtls_client=is_dtls_client, outbound_streams=outbound_streams)
        for record in list(self._records.values()):
            self._start(record)
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
        if len(self._records) >= self._configuration.max_open_channels:
            raise InvalidState(f"{len(self._records)} channels are open; close one with close_channel() first")
        stream_id = parameters.negotiated_id
        if stream_id is not None:
            if stream_id >= self._streams.limit:
                raise InvalidArgument(
                    f"negotiated_id is {stream_id}; the association has {self._streams.limit} streams"
                )
            if not self._streams.is_free(stream_id):
                raise InvalidArgument(f"negotiated_id is {stream_id}, which another channel has or is about to free")
        elif self._is_associated and self._streams.assign() is None:
            raise InvalidState("no stream of the association is free; close a channel with close_channel() first")
        record = self._make_record(parameters, stream_id, is_ours=True)
        self._channels_opened += 1
        if self._is_associated:
            self._start(record)
        return record.channel_id

    def accept_channel(self, channel_id: int) -> None:
        """Say that the program knows of a channel that arrived. Sending to it or taking from it says so as well."""
        record = self._records.get(channel_id)
        if record is not None:
            self._accept(record)

    def close_channel(self, channel_id: int, now: float) -> None:
        """Close a channel after what was accepted for it has left. Again is harmless. Unread messages are forgotten.

        Raises:
            InvalidArgument: there was never such a channel.
        """
        record = self._records.get(channel_id)
        if record is None:
            self._require_known(channel_id)
            return
        self._accept(record)
        self._forget_unread(record)
        record.is_closed_here = True
        if record.state is ChannelState.CLOSED:
            self._retire(record)
            return
        if record.stream_id is None or not self._is_associated:
            if record.held:
                record.move(Input.CLOSE)
            else:
                self._finish(record, Input.ENDED)
        elif record.move(Input.CLOSE) and not record.queued_count:
            self._begin_reset(record)

    def incoming_streams_reset(self, stream_ids: Sequence[int], now: float) -> None:
        """The peer has reset these streams of its direction (RFC 8831 section 6.7); none named means all of them."""
        if not self._is_associated or self._is_closed:
            return
        for stream_id in stream_ids or list(self._owners):
            record = self._owners.get(stream_id)
            match self._streams.incoming_reset(stream_id):
                case ResetProgress.REQUESTED:
                    self._early.take(stream_id)
                    if record is not None:
                        self._close_for_peer(record, Input.PEER_RESET)
                    self._request_reset(stream_id)
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

    def close(self, now: float) -> None:
        """The association is over: every channel is closed, and nothing happens any more. Unread messages remain."""
        if self._is_closed:
            return
        for record in list(self._records.values()):
            record.discard_queue()
            self._finish(record, Input.ENDED)
        self._outgoing.clear()
        self._early.clear()
        self._parked.clear()
        self._is_closed = True
        self._events.append(Closed())

    # --- what is known

    def channel(self, channel_id: int) -> Channel:
        """A view of the channel, which stays current. Of closed channels the last 1,024 are remembered.

        Raises:
            InvalidArgument: there was never such a channel, or it was closed long ago.
        """
        record = self._records.get(channel_id) or self._retired.get(channel_id)
        if record is None:
            raise InvalidArgument(f"channel {channel_id} does not exist or was closed long ago")
        return record.view

    def buffered_size(self, channel_id: int) -> int:
        """Bytes that were accepted for a channel and are not yet handed to the association."""
        record = self._records.get(channel_id)
        return 0 if record is None else record.queued_size

    @property
    def unread_size(self) -> int:
        """Bytes that were received and not taken; an empty message counts 1."""
        return self._unread_size + sum(len(message.data) for message in self._parked)

    @property
    def statistics(self) -> Statistics:
        """A snapshot of the counters."""
        messages_sent, bytes_sent, messages_received, bytes_received = self._retired_totals
        for record in self._records.values():
            messages_sent += record.messages_sent
            bytes_sent += record.bytes_sent
            messages_received += record.messages_received
            bytes_received += record.bytes_received
        return Statistics(
            channels_opened=self._channels_opened,
            channels_arrived=self._channels_arrived,
            channels_refused=self._channels_refused,
            channels_failed=self._channels_failed,
            channels_closed=self._channels_closed,
            messages_sent=messages_sent,
            bytes_sent=bytes_sent,
            messages_received=messages_received,
            bytes_received=bytes_received,
            messages_dropped=self._messages_dropped,
        )

    # --- the five words, and the two of a carrier

    def receive(self, batch: Sequence[Message], now: float) -> None:
        """Take messages from the association, in its order."""
        if self._is_closed:
            return
        if not self._is_associated:
            self._parked.extend(batch)
            return
        owners = self._owners
        for message in batch:
            record = owners.get(message.stream_id)
            ppid = message.ppid
            if record is None or not record.takes_plain or (ppid != _BINARY and ppid != _STRING):
                self._receive_other(message)
                continue
            data = message.data
            size = len(data)
            text: str | bytes = data
            if ppid == _STRING:
                try:
                    text = data.decode()
                except UnicodeDecodeError:
                    self._fail(record)
                    continue
            unread = record.unread
            if not unread:
                self._ready[record.channel_id] = record
            self._serial = serial = self._serial + 1
            unread.append((serial, text, size or 1))
            self._unread_size += size or 1
            record.messages_received += 1
            record.bytes_received += size

    def handle_timeout(self, now: float) -> None:
        """Nothing is ever due."""

    def next_timeout(self) -> float:
        """Never."""
        return math.inf

    def take_events(self) -> list[Event]:
        """Drain the news, oldest first."""
        events, self._events = self._events, []
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
        for record, ppid, data, size in entries:
            record.queued_count += 1
            record.queued_size += size
            if not record.is_accepted:
                self._accept(record)
            if not self._is_associated:
                record.held.append((ppid, data, size))
        if self._is_associated:
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
            if not record.is_sendable and not record.queued_count:
                self._begin_reset(record)  # closing, and all that was accepted has left
        return built

    def take_received(self) -> list[tuple[int, str | bytes]]:
        """Drain all unread messages as (channel id, message), in the order of their arrival."""
        ready = list(self._ready.values())
        entries = [(serial, record.channel_id, message) for record in ready for serial, message, _ in record.unread]
        if len(ready) > 1:
            entries.sort(key=lambda entry: entry[0])
        for record in ready:
            self._accept(record)
            self._forget_unread(record)
            if record.state is ChannelState.CLOSED:
                self._retire(record)
        return [(channel_id, message) for _, channel_id, message in entries]

    def take_message(self, channel_id: int) -> str | bytes | None:
        """Take the oldest unread message of one channel; None if there is none."""
        record = self._records.get(channel_id)
        if record is None:
            return None
        if not record.is_accepted:
            self._accept(record)
        unread = record.unread
        if not unread:
            return None
        _, message, size = unread.popleft()
        self._unread_size -= size
        if not unread:
            del self._ready[channel_id]
            if record.state is ChannelState.CLOSED:
                self._retire(record)
        return message

    # --- messages off the beaten path

    def _receive_other(self, message: Message) -> None:
        """A message of DCEP, empty or partial, or on a stream whose channel is not simply open."""
        stream_id = message.stream_id
        if self._streams.awaits_only_ours(stream_id):
            # The peer has seen our reset and reuses the stream; its confirmation is still on the way.
            if not self._early.keep(message):
                self._messages_dropped += 1
            return
        record = self._owners.get(stream_id)
        if record is None:
            self._receive_unowned(message)
        elif message.ppid == _DCEP:
            self._receive_dcep(record, message.data)
        else:
            self._receive_data(record, message.ppid, message.data)

    def _receive_unowned(self, message: Message) -> None:
        stream_id = message.stream_id
        if self._streams.is_resetting(stream_id):
            self._messages_dropped += 1
        elif message.ppid == _DCEP:
            try:
                announced = decode_dcep(message.data)
            except DecodeError:
                self._refuse(stream_id)
                return
            if isinstance(announced, Open):
                self._receive_open(stream_id, announced)
            else:
                self._messages_dropped += 1  # an acknowledgement of nothing
        elif message.ppid not in ppids.USER_DATA:
            self._messages_dropped += 1
        elif not self._early.keep(message):
            self._messages_dropped += 1
            self._refuse(stream_id)  # RFC 8832 section 6: user data on an unused stream is an error

    def _receive_open(self, stream_id: int, announced: Open) -> None:
        if (
            not self._streams.is_of_peer(stream_id)
            or len(self._records) >= self._configuration.max_open_channels
            or self._unaccepted_count >= self._configuration.max_unaccepted
        ):
            self._refuse(stream_id)
            return
        record = self._make_record(ChannelParameters.from_open(announced), stream_id, is_ours=False)
        self._channels_arrived += 1
        self._unaccepted_count += 1
        record.move(Input.CONFIRMED)
        record.sends_ordered = record.parameters.ordered
        self._events.append(ChannelArrived(record.channel_id))
        self._queue_dcep(record, encode_ack())
        for message in self._early.take(stream_id):
            self._receive_other(message)

    def _receive_dcep(self, record: ChannelRecord, data: bytes) -> None:
        try:
            announced = decode_dcep(data)
        except DecodeError:
            self._fail(record)
            return
        if not isinstance(announced, Ack):
            self._fail(record)  # RFC 8832 section 6: an OPEN on a used stream closes its channel
        elif record.is_ours and record.parameters.negotiated_id is None:
            self._confirm(record)
        else:
            self._messages_dropped += 1

    def _receive_data(self, record: ChannelRecord, ppid: int, data: bytes) -> None:
        self._confirm(record)
        if record.is_closed_here:
            self._messages_dropped += 1
            return
        if ppid not in ppids.USER_DATA:
            self._fail(record)  # RFC 8831 section 6.6: an unsupported PPID closes the channel
            return
        if ppid in (ppids.STRING_EMPTY, ppids.BINARY_EMPTY):
            data = b""
        if ppid in (ppids.STRING_PARTIAL, ppids.BINARY_PARTIAL):
            self._keep_part(record, ppid, data)
            return
        is_text = ppid in (_STRING, ppids.STRING_EMPTY)
        if record.parts:
            if record.parts_ppid != (ppids.STRING_PARTIAL if is_text else ppids.BINARY_PARTIAL):
                self._fail(record)
                return
            data = b"".join((*record.parts, data))
            self._forget_parts(record)
        try:
            message = data.decode() if is_text else data
        except UnicodeDecodeError:
            self._fail(record)
            return
        size = len(data)
        record.messages_received += 1
        record.bytes_received += size
        self._serial += 1
        record.unread.append((self._serial, message, size or 1))
        self._unread_size += size or 1
        self._ready[record.channel_id] = record

    def _keep_part(self, record: ChannelRecord, ppid: int, data: bytes) -> None:
        size = len(data) + _PART_OVERHEAD
        other_kind = record.parts and record.parts_ppid != ppid
        if other_kind or self._parts_size + size > self._configuration.max_partial_size:
            self._fail(record)
            return
        record.parts.append(data)
        record.parts_ppid = ppid
        record.takes_plain = False
        self._parts_size += size

    # --- the steps of a channel

    def _make_record(self, parameters: ChannelParameters, stream_id: int | None, *, is_ours: bool) -> ChannelRecord:
        record = ChannelRecord(self._next_channel_id, parameters, stream_id, is_ours=is_ours)
        self._next_channel_id += 1
        self._records[record.channel_id] = record
        if stream_id is not None:
            self._owners[stream_id] = record
        return record

    def _start(self, record: ChannelRecord) -> None:
        """Give a channel of ours its stream; the association is up."""
        is_negotiated = record.parameters.negotiated_id is not None
        stream_id = record.parameters.negotiated_id if is_negotiated else self._streams.assign()
        if stream_id is None or stream_id >= self._streams.limit:
            record.discard_queue()
            self._finish(record, Input.ENDED)
            return
        record.stream_id = stream_id
        self._owners[stream_id] = record
        if is_negotiated:
            self._confirm(record)
        else:
            self._queue_dcep(record, encode_open(record.parameters.to_open()))
        self._outgoing.extend((record, *entry) for entry in record.held)
        too_large = any(size > self._max_message_size for _, _, size in record.held)
        record.held.clear()
        if too_large:
            self._fail(record)
        elif not record.is_sendable and not record.queued_count:
            self._begin_reset(record)
        for message in self._early.take(stream_id):
            self._receive_other(message)

    def _confirm(self, record: ChannelRecord) -> None:
        """The peer knows of the channel; now messages leave as the channel says (RFC 8832 section 6)."""
        record.sends_ordered = record.parameters.ordered
        if record.move(Input.CONFIRMED):
            self._events.append(ChannelOpened(record.channel_id))

    def _accept(self, record: ChannelRecord) -> None:
        if not record.is_accepted:
            record.is_accepted = True
            self._unaccepted_count -= 1

    def _close_for_peer(self, record: ChannelRecord, step: Input) -> None:
        """The peer will take nothing more: forget what is queued for it."""
        record.discard_queue()
        self._forget_parts(record)
        if record.move(step):
            self._events.append(ChannelClosing(record.channel_id))

    def _fail(self, record: ChannelRecord) -> None:
        """The peer broke a rule of the channel: close it (RFC 8831 section 6.6, RFC 8832 section 6)."""
        stream_id = record.stream_id
        assert stream_id is not None  # the peer reaches a channel by its stream
        if self._streams.is_resetting(stream_id):
            self._messages_dropped += 1
            return
        self._channels_failed += 1
        self._close_for_peer(record, Input.CLOSE)
        self._begin_reset(record)

    def _refuse(self, stream_id: int) -> None:
        """Reset a stream that has no channel, instead of an acknowledgement (RFC 8832 section 6)."""
        self._channels_refused += 1
        self._early.take(stream_id)
        if self._streams.begin_reset(stream_id):
            self._request_reset(stream_id)

    def _begin_reset(self, record: ChannelRecord) -> None:
        stream_id = record.stream_id
        if stream_id is not None and self._streams.begin_reset(stream_id):
            self._request_reset(stream_id)

    def _request_reset(self, stream_id: int) -> None:
        last = self._events[-1] if self._events else None
        if isinstance(last, ResetRequested):
            self._events[-1] = ResetRequested((*last.stream_ids, stream_id))
        else:
            self._events.append(ResetRequested((stream_id,)))

    def _free(self, stream_id: int) -> None:
        """Both directions are reset: the channel is closed, and the stream may have another."""
        record = self._owners.get(stream_id)
        if record is not None:
            self._finish(record, Input.STREAMS_RESET)
        for message in self._early.take(stream_id):
            self._receive_other(message)

    def _finish(self, record: ChannelRecord, step: Input) -> None:
        if record.stream_id is not None:
            self._owners.pop(record.stream_id, None)
        self._forget_parts(record)
        if record.move(step):
            self._channels_closed += 1
            self._events.append(ChannelClosed(record.channel_id))
        if not record.unread:
            self._retire(record)

    def _retire(self, record: ChannelRecord) -> None:
        """A channel that is closed and has nothing unread: remember it for a while, and free its place."""
        self._accept(record)
        del self._records[record.channel_id]
        sent, sent_size, received, received_size = self._retired_totals
        self._retired_totals = (
            sent + record.messages_sent,
            sent_size + record.bytes_sent,
            received + record.messages_received,
            received_size + record.bytes_received,
        )
        self._retired[record.channel_id] = record
        if len(self._retired) > self._configuration.max_open_channels:
            self._retired.popitem(last=False)

    def _forget_unread(self, record: ChannelRecord) -> None:
        self._unread_size -= sum(size for _, _, size in record.unread)
        record.unread.clear()
        self._ready.pop(record.channel_id, None)

    def _forget_parts(self, record: ChannelRecord) -> None:
        self._parts_size -= sum(len(part) + _PART_OVERHEAD for part in record.parts)
        record.parts.clear()
        record.takes_plain = record.state is ChannelState.OPEN

    def _queue_dcep(self, record: ChannelRecord, data: bytes) -> None:
        record.queued_count += 1
        self._outgoing.append((record, _DCEP, data, 0))

    def _require_known(self, channel_id: int) -> None:
        if not 0 <= channel_id < self._next_channel_id:
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
