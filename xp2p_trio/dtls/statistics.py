"""Counters of a DTLS connection."""

from __future__ import annotations

from typing import final

import attrs


@attrs.frozen(kw_only=True)
class Statistics:
    """A snapshot.

    Attributes:
        datagrams_received: all that came in.
        datagrams_malformed: without one whole record in them.
        records_sent: application data records that left.
        records_received: application data records that were delivered.
        bytes_sent: of application data.
        bytes_received: of application data.
        records_discarded: of an epoch, type, version or state that does not fit.
        records_forged: that did not open.
        records_replayed: seen before, or older than the window.
        records_parked: held until their keys or the end of the handshake came.
        records_dropped: of application data, because the owner did not take what was there.
        fragments_refused: of handshake messages, or that took the place of others.
        messages_refused: of a handshake, while nothing vouches for them.
        alerts_ignored: that nothing vouched for, or that change nothing.
        retransmissions: flights repeated because a timer expired.
        retransmissions_cued: flights repeated because the peer repeated its own.
        renegotiations_ignored: requests to negotiate anew.
    """

    datagrams_received: int
    datagrams_malformed: int
    records_sent: int
    records_received: int
    bytes_sent: int
    bytes_received: int
    records_discarded: int
    records_forged: int
    records_replayed: int
    records_parked: int
    records_dropped: int
    fragments_refused: int
    messages_refused: int
    alerts_ignored: int
    retransmissions: int
    retransmissions_cued: int
    renegotiations_ignored: int


@final
class Counters:
    """The running counters behind `Statistics`, under the same names."""

    __slots__ = tuple(field.name for field in attrs.fields(Statistics))

    datagrams_received: int
    datagrams_malformed: int
    records_sent: int
    records_received: int
    bytes_sent: int
    bytes_received: int
    records_discarded: int
    records_forged: int
    records_replayed: int
    records_parked: int
    records_dropped: int
    fragments_refused: int
    messages_refused: int
    alerts_ignored: int
    retransmissions: int
    retransmissions_cued: int
    renegotiations_ignored: int

    def __init__(self) -> None:
        for name in self.__slots__:
            setattr(self, name, 0)

    def snapshot(self) -> Statistics:
        """The counters as they are now."""
        return Statistics(**{name: getattr(self, name) for name in self.__slots__})
