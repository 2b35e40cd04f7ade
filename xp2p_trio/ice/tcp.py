"""ICE over TCP (RFC 6544): streams to peers, and the framing of what they carry (RFC 4571).

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

MAX_FRAME_SIZE: Final = 0xFFFF

MAX_STRANGERS: Final = 16
"""Accepted streams that have not become a valid path; of more the oldest is closed."""

_PREFIX_SIZE: Final = 2


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
    """A stream to a peer: one that we make for a pair, or one that was accepted and has no pair yet.

    Attributes:
        pair: which it was made for; None for an accepted one.
        framer: of what comes in.
    """

    __slots__ = ("framer", "pair")

    def __init__(self, pair: Pair | None = None) -> None:
        self.pair = pair
        self.framer = Framer()
