"""User messages on their way down and up.

Both exist once a message, which for small messages means once a chunk; a frozen attrs class costs three times as
much to make as a plain one, so these are plain.
"""

from __future__ import annotations

import attrs


@attrs.define
class OutgoingMessage:
    """What `Association.send` takes.

    Attributes:
        stream_id: the stream, below the number that was negotiated.
        ppid: payload protocol identifier (RFC 8831 section 8).
        data: at least one byte; SCTP cannot carry an empty message.
        ordered: whether it keeps its place among the ordered messages of its stream.
        max_retransmits: how often a chunk of it may be sent again before the message is abandoned (RFC 7496
            section 4.2); None is without limit, 0 is never.
        lifetime: seconds after which it is not sent or sent again (RFC 3758 section 4.1); None is without limit.
    """

    stream_id: int
    ppid: int
    data: bytes
    ordered: bool = True
    max_retransmits: int | None = None
    lifetime: float | None = None


@attrs.define
class Message:
    """What `Association.take_received` gives."""

    stream_id: int
    ppid: int
    data: bytes
