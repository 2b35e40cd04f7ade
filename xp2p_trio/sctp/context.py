"""What the topics of an association share: its state, its timers, what it has to say, and how it ends."""

from __future__ import annotations

import math
from typing import Final, final

from xp2p_trio.errors import Failure, Reason
from xp2p_trio.sansio import Closed, Failed, RandomBytes, Timer
from xp2p_trio.sctp.configuration import Configuration
from xp2p_trio.sctp.control_block import ControlBlock
from xp2p_trio.sctp.events import Event
from xp2p_trio.sctp.messages import Message
from xp2p_trio.sctp.state import State
from xp2p_trio.sctp.tx import SendQueue
from xp2p_trio.sctp.wire import Cause, CauseCode, encode_abort, encode_common_header, with_checksum

_SECRET_SIZE: Final = 32
_MOST_REPLIES: Final = 16
"""Packets that answer others and wait to leave; an answer lost here is asked for again."""


@final
class Context:
    """The association apart from its TCB.

    Attributes:
        configuration: the settings.
        local_port, remote_port: SCTP ports.
        max_message_size: largest incoming message in bytes.
        random_bytes: the source of randomness.
        state: RFC 9260 section 4.
        has_ended: whether the terminal event is out.
        queue: messages to send, from before the association exists on.
        local_tag: our Initiate Tag.
        local_initial_tsn: our first TSN.
        cookie_secret: the key of our state cookies.
        cookie: the peer's state cookie, in COOKIE-ECHOED.
        block: the TCB, from COOKIE-ECHOED on.
        t1: T1-init and T1-cookie, of which one runs at a time.
        t1_timeout: its first wait, which it doubles.
        t1_started_at: when it was first started for the present chunk.
        t1_expirations: how often it has expired since.
        t2: T2-shutdown.
        t2_expirations: how often it has expired.
        t5: T5-shutdown-guard.
        is_init_due, is_cookie_echo_due, is_shutdown_due: whether that chunk leaves with the next packet.
        is_shutdown_wanted: whether `shutdown` was called before the association was established.
        events: news.
        replies: whole packets that wait to leave.
        parting: messages that had arrived when the association ended, for the reader.
        former_block: the TCB that has ended, for the statistics.
        bytes_received, bytes_sent, packets_received, packets_sent, data_chunks_received: see `Statistics`.
        messages_abandoned, messages_received, messages_sent: see `Statistics`.
        dropped_malformed, dropped_checksum, dropped_tag, dropped_unexpected: see `Statistics`.
    """

    __slots__ = (
        "block",
        "bytes_received",
        "bytes_sent",
        "configuration",
        "cookie",
        "cookie_secret",
        "data_chunks_received",
        "dropped_checksum",
        "dropped_malformed",
        "dropped_tag",
        "dropped_unexpected",
        "events",
        "former_block",
        "has_ended",
        "is_cookie_echo_due",
        "is_init_due",
        "is_shutdown_due",
        "is_shutdown_wanted",
        "local_initial_tsn",
        "local_port",
        "local_tag",
        "max_message_size",
        "messages_abandoned",
        "messages_received",
        "messages_sent",
        "packets_received",
        "packets_sent",
        "parting",
        "queue",
        "random_bytes",
        "remote_port",
        "replies",
        "state",
        "t1",
        "t1_expirations",
        "t1_started_at",
        "t1_timeout",
        "t2",
        "t2_expirations",
        "t5",
    )

    def __init__(
        self,
        configuration: Configuration,
        *,
        local_port: int,
        remote_port: int,
        max_message_size: int,
        random_bytes: RandomBytes,
    ) -> None:
        self.configuration = configuration
        self.local_port = local_port
        self.remote_port = remote_port
        self.max_message_size = max_message_size
        self.random_bytes = random_bytes
        self.state = State.CLOSED
        self.has_ended = False
        self.queue = SendQueue()
        self.local_tag = self.new_tag()
        self.local_initial_tsn = self.new_tsn()
        self.cookie_secret = random_bytes(_SECRET_SIZE)
        self.cookie = b""
        self.block: ControlBlock | None = None
        self.t1 = Timer()
        self.t1_timeout = configuration.t1_timeout
        self.t1_started_at = -math.inf
        self.t1_expirations = 0
        self.t2 = Timer()
        self.t2_expirations = 0
        self.t5 = Timer()
        self.is_init_due = False
        self.is_cookie_echo_due = False
        self.is_shutdown_due = False
        self.is_shutdown_wanted = False
        self.events: list[Event] = []
        self.replies: list[bytes] = []
        self.parting: list[Message] = []
        self.former_block: ControlBlock | None = None
        self.bytes_received = 0
        self.bytes_sent = 0
        self.packets_received = 0
        self.packets_sent = 0
        self.data_chunks_received = 0
        self.messages_received = 0
        self.messages_sent = 0
        self.messages_abandoned = 0
        self.dropped_malformed = 0
        self.dropped_checksum = 0
        self.dropped_tag = 0
        self.dropped_unexpected = 0

    def new_tag(self) -> int:
        """A verification tag, which is never 0 (RFC 9260 section 5.3.1)."""
        return int.from_bytes(self.random_bytes(4), "big") or 1

    def new_tsn(self) -> int:
        """An initial TSN."""
        return int.from_bytes(self.random_bytes(4), "big")

    def reply(self, verification_tag: int, *chunks: bytes) -> None:
        """Send a packet of its own; it carries its checksum whatever was negotiated (RFC 9653 section 5.2)."""
        if len(self.replies) < _MOST_REPLIES:
            self.replies.append(self.build_packet(verification_tag, *chunks))

    def build_packet(self, verification_tag: int, *chunks: bytes) -> bytes:
        """A packet with its checksum."""
        header = encode_common_header(self.local_port, self.remote_port, verification_tag)
        return with_checksum(header + b"".join(chunks))

    def add_control(self, chunk: bytes) -> None:
        """Bundle a chunk into the next packet, if there is a peer and not too much waits."""
        if self.block is not None and len(self.block.control) < _MOST_REPLIES:
            self.block.control.append(chunk)

    def end(self, event: Closed | Failed) -> None:
        """The association is over."""
        if self.has_ended:
            return
        self.has_ended = True
        self.state = State.CLOSED
        for timer in (self.t1, self.t2, self.t5):
            timer.stop()
        self.is_init_due = self.is_cookie_echo_due = self.is_shutdown_due = False
        block = self.block
        if block is not None:
            self.parting += block.inbound.take()
            block.outbound.outstanding.clear()
            self.former_block = block
            self.block = None
        self.cookie = b""
        self.queue.clear()
        self.events.append(event)

    def fail(self, reason: Reason, detail: str) -> None:
        """End because the peer or the path broke."""
        self.end(Failed(Failure("sctp", reason, detail)))

    def abort(self, cause: Cause) -> None:
        """Tell the peer, if there is one, that it is over."""
        block = self.block
        if block is not None:
            del self.replies[:]  # The ABORT answers everything.
            self.reply(block.remote_tag, encode_abort((cause,)))

    def drain_abandoned(self) -> None:
        """Turn the messages that the TCB gave up into events."""
        block = self.block
        if block is not None and block.outbound.abandoned:
            self.messages_abandoned += len(block.outbound.abandoned)
            self.events += block.outbound.abandoned
            block.outbound.abandoned.clear()

    def violated(self, detail: str) -> None:
        """The peer broke the protocol: ABORT and the end (RFC 9260 section 3.3.10.13)."""
        self.abort(Cause(CauseCode.PROTOCOL_VIOLATION, detail.encode()[:200]))
        self.fail(Reason.PROTOCOL_VIOLATION, f"the peer broke the SCTP protocol: {detail}")
