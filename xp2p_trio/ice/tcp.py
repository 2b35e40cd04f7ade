"""Streams to peers (RFC 6544), and the framing of what they carry (RFC 4571).

     0                   1
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |             Length            |  of what follows: STUN, or data of the layer above
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

An active candidate connects to a passive one when its pair is checked; the stream then is the path of the pair. Who
accepts learns the other side from its check, as over UDP.
"""

from __future__ import annotations

from typing import Final, final

from xp2p_trio.ice.pair import Pair
from xp2p_trio.ice.streams import Streams
from xp2p_trio.sansio import Transport
from xp2p_trio.stun import HEADER_SIZE, MAGIC_COOKIE

MAX_FRAME_SIZE: Final = 0xFFFF

MAX_FIRST_FRAME_SIZE: Final = 2048
"""Bytes of the message that a peer begins with, which is a check or the answer to one: some 100."""

MAX_CONNECTING: Final = 16
"""Streams to peers that are being connected at a time."""

MAX_CONNECTING_TO_HOST: Final = 5
"""The same to one IP address (RFC 6544 section 12)."""

_PREFIX_SIZE: Final = 2
_HEAD_SIZE: Final = _PREFIX_SIZE + 8
_LAST_STUN_BYTE: Final = 3  # RFC 7983 section 7


@final
class Framer:
    """Cuts what a stream brings into datagrams. It keeps one incomplete frame at most; no bytes can be wrong to it."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def take(self, data: bytes) -> list[bytes]:
        """Take bytes as they came. Returns the datagrams that are complete now."""
        buffer = self._buffer
        buffer += data
        datagrams: list[bytes] = []
        start = 0
        while len(buffer) - start >= _PREFIX_SIZE:
            stop = start + _PREFIX_SIZE + int.from_bytes(buffer[start : start + _PREFIX_SIZE], "big")
            if stop > len(buffer):
                break
            datagrams.append(bytes(buffer[start + _PREFIX_SIZE : stop]))
            start = stop
        del buffer[:start]
        return datagrams


def encode_frame(datagram: bytes) -> bytes:
    """A datagram of at most 65535 bytes with its length before it."""
    return len(datagram).to_bytes(_PREFIX_SIZE, "big") + datagram


@final
class PeerStream:
    """A stream to a peer: one that we make for a pair, or one that was accepted.

    Attributes:
        pair: which it was made for; None for an accepted one.
    """

    __slots__ = ("_framer", "_head", "pair")

    def __init__(self, pair: Pair | None = None) -> None:
        self.pair = pair
        self._framer = Framer()
        self._head = b""

    def take(self, data: bytes) -> list[bytes] | None:
        """Take bytes as they came.

        Returns:
            The datagrams that are complete now; None if the stream does not begin with STUN, so that the other end is
            no peer (RFC 6544 section 7.1).
        """
        missing = _HEAD_SIZE - len(self._head)
        if missing:
            self._head += data[:missing]
            if not _may_begin_stun(self._head):
                return None
        return self._framer.take(data)


def connect(streams: Streams, pair: Pair) -> None:
    """Ask for the stream of a pair, from the interface of its local candidate (RFC 6544 section 7.1)."""
    streams.request(PeerStream(pair), pair.local.base[0], pair.remote.address, Transport.TCP)


def is_held_back(streams: Streams, pair: Pair) -> bool:
    """Whether a pair has to wait for its stream, since as many as may be are being connected already."""
    if pair.is_connected:
        return False
    hosts = [stream.pair.remote.host for stream in streams.requested(PeerStream) if stream.pair is not None]
    return len(hosts) >= MAX_CONNECTING or hosts.count(pair.remote.host) >= MAX_CONNECTING_TO_HOST


def _may_begin_stun(head: bytes) -> bool:
    """Whether so many first bytes may be those of a frame with a STUN message (RFC 8489 section 5)."""
    if len(head) >= _PREFIX_SIZE:
        size = int.from_bytes(head[:_PREFIX_SIZE], "big")
        if not HEADER_SIZE <= size <= MAX_FIRST_FRAME_SIZE:
            return False
    if len(head) > _PREFIX_SIZE and head[_PREFIX_SIZE] > _LAST_STUN_BYTE:
        return False
    return len(head) < _HEAD_SIZE or head[_HEAD_SIZE - 4 :] == MAGIC_COOKIE.to_bytes(4, "big")
