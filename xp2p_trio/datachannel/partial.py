"""The deprecated fragmentation by PPID (RFC 8831 section 6.6): old peers still send large messages so."""

from __future__ import annotations

from typing import Final, final

from xp2p_trio.datachannel.channel import ChannelRecord
from xp2p_trio.datachannel.state import ChannelState

_OVERHEAD: Final = 64


@final
class PartialMessages:
    """The unfinished messages of all channels.

    Args:
        max_size: bytes of all their parts, each counted with 64 more.
    """

    __slots__ = ("_max_size", "_size")

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._size = 0

    def keep(self, record: ChannelRecord, ppid: int, data: bytes) -> bool:
        """Keep a part; False if there is no room, or if the parts before it are of the other kind."""
        size = self._size + len(data) + _OVERHEAD
        if size > self._max_size or (record.parts and record.parts_ppid != ppid):
            return False
        self._size = size
        record.parts.append(data)
        record.parts_ppid = ppid
        record.takes_plain = False
        return True

    def finish(self, record: ChannelRecord, ppid: int, data: bytes) -> bytes | None:
        """The whole message that `data` ends, whose parts have `ppid`; None if the parts are of the other kind."""
        if record.parts and record.parts_ppid != ppid:
            return None
        whole = b"".join((*record.parts, data))
        self.forget(record)
        return whole

    def forget(self, record: ChannelRecord) -> None:
        """Drop the parts of a channel."""
        self._size -= sum(len(part) + _OVERHEAD for part in record.parts)
        record.parts.clear()
        record.takes_plain = record.state is ChannelState.OPEN
