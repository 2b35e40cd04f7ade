"""One channel: the record that the multiplexer works on, and the view that others see."""

from __future__ import annotations

from collections import deque
from typing import TypeAlias, final

from xp2p_trio.datachannel.parameters import ChannelParameters
from xp2p_trio.datachannel.state import TRANSITIONS, ChannelState, Input

Unread: TypeAlias = tuple[int, str | bytes, int]
"""The serial number of its arrival, the message, and what it counts; see `MESSAGE_OVERHEAD`."""


@final
class ChannelRecord:
    """All that is known of a channel.

    Attributes:
        channel_id: the multiplexer's own number, never reused.
        stream_id: of the stream pair; None until the association is up.
        parameters: what it was made with.
        state: where it is in its life; changed by `move` only.
        is_ours: whether this program made it.
        is_accepted: whether the program knows of it: it made it or touched it.
        is_closed_here: whether this program closed it, so that nobody will read.
        is_discarding: whether what is queued for the peer is to be dropped.
        is_sendable: whether the program may send: true while connecting or open.
        takes_plain: whether a whole message can be taken without a further look; true while open and not amid parts.
        sends_ordered: how the next message leaves (RFC 8832 section 6: ordered until the peer has answered).
        queued_count: messages that wait to be handed to the association, DCEP among them.
        queued_size: the bytes of the user messages among them.
        held: messages that wait for the association, as PPID, payload and size.
        unread: messages that wait for the program.
        parts: the parts so far of a message in the deprecated fragmentation, all of `parts_ppid`.
    """

    __slots__ = (
        "bytes_received",
        "bytes_sent",
        "channel_id",
        "held",
        "is_accepted",
        "is_closed_here",
        "is_discarding",
        "is_ours",
        "is_sendable",
        "lifetime",
        "max_retransmits",
        "messages_received",
        "messages_sent",
        "parameters",
        "parts",
        "parts_ppid",
        "queued_count",
        "queued_size",
        "sends_ordered",
        "state",
        "stream_id",
        "takes_plain",
        "unread",
        "view",
    )

    def __init__(self, channel_id: int, parameters: ChannelParameters, stream_id: int | None, *, is_ours: bool) -> None:
        self.channel_id = channel_id
        self.stream_id = stream_id
        self.parameters = parameters
        self.max_retransmits = parameters.max_retransmits
        self.lifetime = parameters.max_packet_life_time
        self.state = ChannelState.CONNECTING
        self.is_ours = is_ours
        self.is_accepted = is_ours
        self.is_closed_here = False
        self.is_discarding = False
        self.is_sendable = True
        self.takes_plain = False
        self.sends_ordered = True
        self.queued_count = 0
        self.queued_size = 0
        self.held: list[tuple[int, bytes, int]] = []
        self.unread: deque[Unread] = deque()
        self.parts: list[bytes] = []
        self.parts_ppid = 0
        self.messages_sent = 0
        self.bytes_sent = 0
        self.messages_received = 0
        self.bytes_received = 0
        self.view = Channel(self)

    def move(self, step: Input) -> bool:
        """Take a step of the table; whether the state changed."""
        state = TRANSITIONS[self.state, step]
        changed = state is not self.state
        self.state = state
        self.is_sendable = state <= ChannelState.OPEN
        self.takes_plain = state is ChannelState.OPEN and not self.parts
        return changed

    def discard_queue(self) -> None:
        """Forget what is queued for the peer."""
        self.is_discarding = True
        self.queued_count = self.queued_size = 0
        self.held.clear()


@final
class Channel:
    """A read-only view of a channel that stays current, also after the channel is closed."""

    __slots__ = ("_record",)

    def __init__(self, record: ChannelRecord) -> None:
        self._record = record

    @property
    def channel_id(self) -> int:
        """The multiplexer's own number, never reused."""
        return self._record.channel_id

    @property
    def stream_id(self) -> int | None:
        """The SCTP stream pair; None until the association is up."""
        return self._record.stream_id

    @property
    def label(self) -> str:
        """The label; labels need not be unique."""
        return self._record.parameters.label

    @property
    def protocol(self) -> str:
        """The sub-protocol, or ""."""
        return self._record.parameters.protocol

    @property
    def ordered(self) -> bool:
        """Whether messages arrive in order."""
        return self._record.parameters.ordered

    @property
    def max_retransmits(self) -> int | None:
        """How often a message is retransmitted at most; None for any number."""
        return self._record.parameters.max_retransmits

    @property
    def max_packet_life_time(self) -> float | None:
        """Seconds after which a message is given up; None for never."""
        return self._record.parameters.max_packet_life_time

    @property
    def negotiated(self) -> bool:
        """Whether both programs made the channel, without DCEP."""
        return self._record.parameters.negotiated_id is not None

    @property
    def priority(self) -> int:
        """The priority of RFC 8831 section 6.4."""
        return self._record.parameters.priority

    @property
    def parameters(self) -> ChannelParameters:
        """All of what the channel was made with."""
        return self._record.parameters

    @property
    def is_ours(self) -> bool:
        """Whether this program made the channel."""
        return self._record.is_ours

    @property
    def state(self) -> ChannelState:
        """Where the channel is in its life."""
        return self._record.state

    @property
    def messages_sent(self) -> int:
        """Messages handed to the association."""
        return self._record.messages_sent

    @property
    def bytes_sent(self) -> int:
        """Their bytes, text in UTF-8."""
        return self._record.bytes_sent

    @property
    def messages_received(self) -> int:
        """Messages of the peer that came."""
        return self._record.messages_received

    @property
    def bytes_received(self) -> int:
        """Their bytes, text in UTF-8."""
        return self._record.bytes_received

    def __repr__(self) -> str:
        return f"<Channel {self.channel_id} {self.label!r} {self.state.name.lower()}>"
