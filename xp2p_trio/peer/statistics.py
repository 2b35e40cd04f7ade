"""What a connection has counted, layer by layer."""

from __future__ import annotations

import attrs

from xp2p_trio.datachannel import Statistics as ChannelsStatistics
from xp2p_trio.dtls import Statistics as DtlsStatistics
from xp2p_trio.ice import Statistics as IceStatistics
from xp2p_trio.sctp import Statistics as SctpStatistics


@attrs.frozen
class Statistics:
    """A snapshot of every layer's counters.

    Attributes:
        ice: paths, checks and dropped datagrams.
        dtls: records; None before both descriptions are known.
        sctp: packets, chunks and congestion; None before both descriptions are known.
        channels: messages.
    """

    ice: IceStatistics
    dtls: DtlsStatistics | None
    sctp: SctpStatistics | None
    channels: ChannelsStatistics
