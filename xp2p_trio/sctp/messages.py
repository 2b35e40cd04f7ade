"""What an association carries: one user message, on its way down and on its way up (RFC 9260 section 10.1).

One of these is made for each message, so they are plain slotted classes; nobody changes them once made.
"""

from __future__ import annotations

from typing import final


@final
class OutgoingMessage:
    """A message to send.

    Attributes:
        stream_id: 0 to 65534.
        ppid: the payload protocol identifier.
        data: one byte at least; SCTP has no empty messages.
        ordered: whether it is delivered in the order of its stream.
        max_retransmits: how often it may be retransmitted before it is abandoned (RFC 7496); None for any number.
        lifetime: seconds until it is abandoned (RFC 3758), from when the association takes it; None for no limit.
    """

    __slots__ = ("data", "lifetime", "max_retransmits", "ordered", "ppid", "stream_id")

    def __init__(
        self,
        stream_id: int,
        ppid: int,
        data: bytes,
        ordered: bool = True,
        max_retransmits: int | None = None,
        lifetime: float | None = None,
    ) -> None:
        self.stream_id = stream_id
        self.ppid = ppid
        self.data = data
        self.ordered = ordered
        self.max_retransmits = max_retransmits
        self.lifetime = lifetime

    def _key(self) -> tuple[int, int, bytes, bool, int | None, float | None]:
        return self.stream_id, self.ppid, self.data, self.ordered, self.max_retransmits, self.lifetime

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, OutgoingMessage) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return (
            f"OutgoingMessage(stream_id={self.stream_id}, ppid={self.ppid}, data=<{len(self.data)} bytes>, "
            f"ordered={self.ordered}, max_retransmits={self.max_retransmits}, lifetime={self.lifetime})"
        )


@final
class Message:
    """A message that arrived.

    Attributes:
        stream_id: 0 to 65534.
        ppid: the payload protocol identifier.
        data: one byte at least.
    """

    __slots__ = ("data", "ppid", "stream_id")

    def __init__(self, stream_id: int, ppid: int, data: bytes) -> None:
        self.stream_id = stream_id
        self.ppid = ppid
        self.data = data

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Message):
            return NotImplemented
        return (self.stream_id, self.ppid, self.data) == (other.stream_id, other.ppid, other.data)

    def __hash__(self) -> int:
        return hash((self.stream_id, self.ppid, self.data))

    def __repr__(self) -> str:
        return f"Message(stream_id={self.stream_id}, ppid={self.ppid}, data=<{len(self.data)} bytes>)"
