"""Bundles chunks into packets (RFC 9260 section 6.10)."""

from __future__ import annotations

from typing import final

from xp2p_trio.sctp.wire.packet import COMMON_HEADER_SIZE


@final
class PacketBuilder:
    """Packets of one `transmit`, the last of which may still be open.

    Attributes:
        header: the common header of every packet.
        capacity: bytes for chunks in an empty packet.
        limit: most packets.
        packets: those that are done.
        chunks: those of the open packet.
        room: bytes left in the open packet.
    """

    __slots__ = ("capacity", "chunks", "header", "limit", "packets", "room")

    def __init__(self, header: bytes, packet_size: int, limit: int) -> None:
        self.header = header
        self.capacity = packet_size - COMMON_HEADER_SIZE
        self.limit = limit
        self.packets: list[bytes] = []
        self.chunks: list[bytes] = []
        self.room = self.capacity

    @property
    def number(self) -> int:
        """Number of the packet that the next chunk would most likely go into, counted from 0."""
        return len(self.packets)

    @property
    def has_spare_packet(self) -> bool:
        """Whether a chunk of any size finds room, if need be in a packet of its own."""
        return len(self.packets) + bool(self.chunks) < self.limit

    def add(self, chunk: bytes) -> bool:
        """Put a padded chunk into the open packet or the next one; False if `limit` forbids."""
        size = len(chunk)
        if size > self.room:
            self.flush()
        if len(self.packets) >= self.limit:
            return False
        self.chunks.append(chunk)
        self.room -= size
        return True

    def flush(self) -> None:
        """End the open packet, if it has chunks."""
        if self.chunks:
            self.packets.append(self.header + b"".join(self.chunks))
            self.chunks = []
            self.room = self.capacity
