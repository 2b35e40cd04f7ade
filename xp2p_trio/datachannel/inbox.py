"""Messages that wait for the program: per channel, and over all channels in the order of their arrival."""

from __future__ import annotations

from collections.abc import KeysView
from typing import Final, final

from xp2p_trio.datachannel.channel import ChannelRecord

MESSAGE_OVERHEAD: Final = 128
"""Bytes that an unread message counts beside its own: about what its entry and its object cost, which is far more than
the bytes of tiny messages."""


@final
class Inbox:
    """The unread messages of all channels.

    Attributes:
        size: bytes of all of them, each counted with `MESSAGE_OVERHEAD` more.
    """

    __slots__ = ("_ready", "_serial", "size")

    def __init__(self) -> None:
        self._ready: dict[int, ChannelRecord] = {}
        self._serial = 0
        self.size = 0

    @property
    def channel_ids(self) -> KeysView[int]:
        """The channels that have any, as a view that stays current."""
        return self._ready.keys()

    def put(self, record: ChannelRecord, message: str | bytes, size: int) -> None:
        """Keep a message of so many bytes."""
        record.messages_received += 1
        record.bytes_received += size
        unread = record.unread
        if not unread:
            self._ready[record.channel_id] = record
        self._serial = serial = self._serial + 1
        charge = size + MESSAGE_OVERHEAD
        unread.append((serial, message, charge))
        self.size += charge

    def take(self, record: ChannelRecord) -> str | bytes | None:
        """The oldest message of a channel, or None."""
        unread = record.unread
        if not unread:
            return None
        _, message, charge = unread.popleft()
        self.size -= charge
        if not unread:
            del self._ready[record.channel_id]
        return message

    def take_all(self) -> tuple[list[tuple[int, str | bytes]], list[ChannelRecord]]:
        """All messages as (channel id, message), oldest first, and the channels that had any."""
        records = list(self._ready.values())
        entries = [(serial, record.channel_id, message) for record in records for serial, message, _ in record.unread]
        if len(records) > 1:
            entries.sort(key=lambda entry: entry[0])
        for record in records:
            record.unread.clear()
        self._ready.clear()
        self.size = 0
        return [(channel_id, message) for _, channel_id, message in entries], records

    def forget(self, record: ChannelRecord) -> None:
        """Drop what a channel has unread."""
        self.size -= sum(charge for _, _, charge in record.unread)
        record.unread.clear()
        self._ready.pop(record.channel_id, None)
