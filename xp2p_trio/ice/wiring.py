"""Between bursts and paths: what comes in over sockets, TURN servers and TCP streams, and what leaves over them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, final

from xp2p_trio.ice.generations import Generations
from xp2p_trio.ice.pair import Path
from xp2p_trio.ice.peer_streams import PeerStreams
from xp2p_trio.ice.session import Shared
from xp2p_trio.ice.tcp import MAX_FRAME_SIZE, encode_frame
from xp2p_trio.sansio import Burst, Transport, canonical_address

_NOTHING: Final = ()


@final
class Wiring:
    """Unwraps and wraps, so that the rest of the agent knows paths alone."""

    def __init__(self, shared: Shared, generations: Generations, peer_streams: PeerStreams) -> None:
        self._shared = shared
        self._generations = generations
        self._peer_streams = peer_streams

    def incoming(self, burst: Burst, now: float) -> Iterable[tuple[Path, Sequence[bytes]]]:
        """The datagrams of a burst with the path that each came over; those from nowhere are counted."""
        relays = self._shared.relays
        if len(relays) and relays.receive(burst, now):
            received, relays.received = relays.received, []
            return received
        if burst.transport.is_stream:
            return (((burst.local, burst.remote, burst.transport), self._peer_streams.take(burst, now)),)
        remote = canonical_address(burst.remote)
        if remote is not None and any(burst.local in session.bases for session in self._generations.alive):
            return (((burst.local, remote, Transport.UDP), burst.datagrams),)
        self._shared.counters.datagrams_dropped += len(burst.datagrams)
        return _NOTHING

    def outgoing(self, bursts: list[Burst], path: Path, datagrams: Sequence[bytes], now: float) -> Sequence[bytes]:
        """Send over a path: add to `bursts`, or give to the TURN server's allocation, which is pulled after this.

        Returns:
            Those of them that the path carries.
        """
        local, remote, transport = path
        if transport.is_stream:
            if self._shared.streams.owner(path) is None:
                return _NOTHING
            datagrams = [datagram for datagram in datagrams if len(datagram) <= MAX_FRAME_SIZE]
            bursts.append(Burst(local, remote, [encode_frame(datagram) for datagram in datagrams], transport))
        elif self._generations.has_socket(local):
            bursts.append(Burst(local, remote, datagrams))
        elif local in self._shared.relays:
            return self._shared.relays.send(path, datagrams, now)
        else:  # its socket is gone, and what leaves meanwhile is lost
            return _NOTHING
        return datagrams
