"""The data of an allocation: indications (RFC 8656 section 11), ChannelData (section 12), and the queues between."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, final

from xp2p_trio.errors import InvalidArgument
from xp2p_trio.sansio import Address, RandomBytes, canonical_address
from xp2p_trio.stun import (
    TRANSACTION_ID_SIZE,
    Data,
    Message,
    MessageClass,
    Method,
    XorPeerAddress,
    encode_message,
)
from xp2p_trio.turn.channel_data import FIRST_BYTE, HEADER, HEADER_SIZE, LAST_BYTE
from xp2p_trio.turn.channels import Channels
from xp2p_trio.turn.permissions import Permissions
from xp2p_trio.turn.statistics import Counters

MAX_PARKED_DATAGRAMS: Final = 16
"""That wait for a permission."""

MAX_QUEUED_DATAGRAMS: Final = 4096
"""That wait to be pulled, in each direction."""

MAX_DATA_SIZE: Final = 65456
"""What fits into a Send indication to an IPv6 peer inside of one UDP datagram of 65507 bytes."""


@final
class Relay:
    """Moves data between the one above and the server. Nothing leaves for a host without permission."""

    def __init__(
        self,
        permissions: Permissions,
        channels: Channels,
        random_bytes: RandomBytes,
        counters: Counters,
        *,
        is_stream: bool,
    ) -> None:
        self._permissions = permissions
        self._channels = channels
        self._random_bytes = random_bytes
        self._counters = counters
        self._is_stream = is_stream
        self._outgoing: list[tuple[Address, bytes]] = []
        self._parked: deque[tuple[Address, bytes]] = deque()
        self._received: list[tuple[Address, bytes]] = []

    @property
    def is_sending(self) -> bool:
        """Whether data waits to be pulled."""
        return bool(self._outgoing)

    def send(self, items: Sequence[tuple[Address, bytes]]) -> None:
        """Queue data whose peer has a permission, park what may get one, drop the rest."""
        for _, data in items:
            if len(data) > MAX_DATA_SIZE:
                raise InvalidArgument(
                    f"{len(data)} bytes are more than the {MAX_DATA_SIZE} that fit into an indication"
                )
        active, outgoing = self._permissions.active, self._outgoing
        for item in items:
            if item[0][0] in active:
                outgoing.append(item)
            else:
                self._park(item)
        excess = len(outgoing) - MAX_QUEUED_DATAGRAMS
        if excess > 0:
            del outgoing[MAX_QUEUED_DATAGRAMS:]
            self._counters.datagrams_unsent += excess

    def unpark(self) -> None:
        """Queue what was waiting for a permission that has come, and drop what no longer has a prospect of one."""
        parked, self._parked = self._parked, deque()
        for item in parked:
            if item[0][0] in self._permissions.active:
                self._outgoing.append(item)
            else:
                self._park(item)

    def transmit(self, limit: int) -> list[bytes]:
        """The messages that carry the next data."""
        items = self._outgoing
        if len(items) > limit:
            self._outgoing = items[limit:]
            items = items[:limit]
        else:
            self._outgoing = []
        bound, active, pack, is_stream = self._channels.bound, self._permissions.active, HEADER.pack, self._is_stream
        messages: list[bytes] = []
        size = 0
        for peer, data in items:
            if peer[0] not in active:  # it has lapsed in the queue
                self._counters.datagrams_unsent += 1
                continue
            number = bound.get(peer)
            length = len(data)
            if number is None:
                messages.append(self._send_indication(peer, data))
            elif is_stream:
                messages.append(pack(number, length) + data + bytes(-length & 3))
            else:
                messages.append(pack(number, length) + data)
            size += length
        self._counters.datagrams_sent += len(messages)
        self._counters.bytes_sent += size
        return messages

    def receive_channel_data(self, datagrams: Sequence[bytes], start: int) -> int:
        """Take ChannelData from `start` on, checked as `decode_channel_data` does. Returns where something else is."""
        peers, received, unpack = self._channels.peers, self._received, HEADER.unpack_from
        count = size = ignored = 0
        room = MAX_QUEUED_DATAGRAMS - len(received)
        position, end = start, len(datagrams)
        while position < end:
            message = datagrams[position]
            if not message or not FIRST_BYTE <= message[0] <= LAST_BYTE:
                break
            position += 1
            length = len(message) - HEADER_SIZE
            if length < 0:
                ignored += 1
                continue
            number, claimed = unpack(message)
            peer = peers.get(number)
            if peer is None or not 0 <= length - claimed <= 3:
                ignored += 1
            elif count == room:
                self._counters.datagrams_unread += 1
            else:
                received.append((peer, message[HEADER_SIZE : HEADER_SIZE + claimed]))
                count += 1
                size += claimed
        self._counters.datagrams_ignored += ignored
        self._counters.datagrams_received += count
        self._counters.bytes_received += size
        return position

    def receive_data_indication(self, indication: Message) -> None:
        """Take a Data indication (RFC 8656 section 11.4)."""
        peer_attribute, data = indication.get(XorPeerAddress), indication.get(Data)
        peer = None if peer_attribute is None else canonical_address(peer_attribute.address)
        # A host that we asked for: the server may have installed it before its response reaches us.
        if peer is None or peer[0] not in self._permissions.wanted or data is None or indication.unknown_required:
            self._counters.datagrams_ignored += 1
        elif len(self._received) >= MAX_QUEUED_DATAGRAMS:
            self._counters.datagrams_unread += 1
        else:
            self._received.append((peer, data.data))
            self._counters.datagrams_received += 1
            self._counters.bytes_received += len(data.data)

    def take_received(self) -> list[tuple[Address, bytes]]:
        """Drain what came."""
        received, self._received = self._received, []
        return received

    def clear(self) -> None:
        """Drop what has not left; what came stays to be taken."""
        self._counters.datagrams_unsent += len(self._outgoing) + len(self._parked)
        self._outgoing.clear()
        self._parked.clear()

    def _park(self, item: tuple[Address, bytes]) -> None:
        """Off the fast path: another spelling of the address, or a host without permission."""
        peer = canonical_address(item[0])
        if peer is not None and peer != item[0] and peer[0] in self._permissions.active:
            self._outgoing.append((peer, item[1]))
        elif peer is not None and peer[0] in self._permissions.wanted and len(self._parked) < MAX_PARKED_DATAGRAMS:
            self._parked.append((peer, item[1]))
        else:
            self._counters.datagrams_unsent += 1

    def _send_indication(self, peer: Address, data: bytes) -> bytes:
        transaction_id = self._random_bytes(TRANSACTION_ID_SIZE)
        attributes = (XorPeerAddress(peer), Data(data))
        return encode_message(Message(MessageClass.INDICATION, Method.SEND, transaction_id, attributes))
