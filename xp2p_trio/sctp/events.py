"""What an association tells its owner. Whichever of `Closed` and `Failed` comes is the last."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from xp2p_trio.sansio import Closed, Failed


@attrs.frozen
class AssociationEstablished:
    """The handshake is over (COMMUNICATION UP, RFC 9260 section 11.2.4).

    Attributes:
        inbound_streams: how many streams the peer may send on.
        outbound_streams: how many streams we may send on.
        partial_reliability: whether the peer understands FORWARD TSN (RFC 3758); without it every message is reliable.
        stream_reset: whether the peer understands RE-CONFIG (RFC 6525).
        zero_checksum_sent: whether our packets carry a zero checksum from now on (RFC 9653).
        zero_checksum_accepted: whether the peer's packets may.
    """

    inbound_streams: int
    outbound_streams: int
    partial_reliability: bool
    stream_reset: bool
    zero_checksum_sent: bool
    zero_checksum_accepted: bool


@attrs.frozen
class AssociationRestarted:
    """The peer has started over (RFC 9260 section 5.2.4, A): streams are new and everything queued is gone."""


@attrs.frozen
class IncomingStreamsReset:
    """The peer has ended its side of these streams; all data it sent on them before can be taken.

    Attributes:
        stream_ids: the streams; none stands for all (RFC 6525 section 4.1).
    """

    stream_ids: tuple[int, ...]


@attrs.frozen
class OutgoingStreamsReset:
    """The peer has confirmed the reset of these streams; their numbering starts over."""

    stream_ids: tuple[int, ...]


@attrs.frozen
class OutgoingStreamsResetDenied:
    """The peer refuses to reset these streams, or does not know how to; they go on as they were."""

    stream_ids: tuple[int, ...]


@attrs.frozen
class MessageAbandoned:
    """A message with limited reliability was given up (RFC 3758); the peer has not got it, or not all of it.

    Attributes:
        stream_id: the stream it was sent on.
        ppid: its payload protocol identifier.
        size: its bytes.
        transmitted: whether any of it had left.
    """

    stream_id: int
    ppid: int
    size: int
    transmitted: bool


Event: TypeAlias = (
    AssociationEstablished
    | AssociationRestarted
    | IncomingStreamsReset
    | OutgoingStreamsReset
    | OutgoingStreamsResetDenied
    | MessageAbandoned
    | Closed
    | Failed
)
