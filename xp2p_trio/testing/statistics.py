"""What a simulated network counted."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class NetworkStatistics:
    """A snapshot; numbers of datagrams but for the sizes, which are bytes of UDP payload.

    Attributes:
        sent: datagrams handed to the network.
        sent_size: their bytes.
        delivered: datagrams that reached their host, copies included.
        delivered_size: their bytes.
        lost: by the loss of a link.
        queue_full: by tail drop.
        too_large: by the path MTU.
        duplicated: further copies made.
        corrupted: with a flipped bit.
        truncated: cut short.
        reordered: held back so that others could overtake.
        filtered: dropped by a NAT or firewall, on the way out or in.
        unroutable: sent to, or arrived at, an address that no host has.
        streams: connections made over TCP or TLS; none of the numbers above counts what they carry.
        stream_size: bytes that reached the other end of a stream.
    """

    sent: int = 0
    sent_size: int = 0
    delivered: int = 0
    delivered_size: int = 0
    lost: int = 0
    queue_full: int = 0
    too_large: int = 0
    duplicated: int = 0
    corrupted: int = 0
    truncated: int = 0
    reordered: int = 0
    filtered: int = 0
    unroutable: int = 0
    streams: int = 0
    stream_size: int = 0
