"""Between bursts and paths: what comes in over sockets, TURN servers and TCP streams, and what leaves over them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, final

from xp2p_trio.ice.generations import Generations
from xp2p_trio.ice.pair import Path
from xp2p_trio.ice.session import Shared
from xp2p_trio.ice.tcp import MAX_FRAME_SIZE, MAX_STRANGERS, PeerStream, encode_frame
from xp2p_trio.sansio import Burst, Transport, canonical_address

_NOTHING: Final = ()


@final
class Wiring:
    """Unwraps and wraps, so that the rest of the agent knows paths alone."""

    def __init__(self, shared: Shared, generations: Generations) -> None:
        self._shared = shared
        self._generations = generations
        self._strangers: list[Path] = []

    def incoming(self, burst: Burst, now: float) -> Iterable[tuple[Path, Sequence[bytes]]]:
        """The datagrams of a burst with the path that each came over; those from nowhere are counted."""
        relays = self._shared.relays
        if len(relays) and relays.receive(burst, now):
            received, relays.received = relays.received, []
            return received
        remote = canonical_address(burst.remote)
        if remote is not None:
            if burst.transport is Transport.UDP:
                if any(burst.local in session.bases for session in self._generations.alive):
                    return (((burst.local, remote, Transport.UDP), burst.datagrams),)
            elif isinstance(stream := self._shared.streams.owner((burst.local, remote, burst.transport)), PeerStream):
                datagrams = [datagram for chunk in burst.datagrams for datagram in stream.framer.take(chunk)]
                return (((burst.local, remote, burst.transport), datagrams),)
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

    def accept(self, path: Path, now: float) -> None:
        """A peer has connected a stream; of those that are not (yet) a valid path the oldest makes room."""
        streams = self._shared.streams
        if (
            not any(path[0] in session.passive for session in self._generations.alive)
            or streams.owner(path) is not None
        ):
            streams.accepted(PeerStream(), path)
            streams.release(path)
            return
        self._strangers = [
            other
            for other in self._strangers
            if streams.owner(other) is not None and not self._generations.is_valid(other, now)
        ]
        if len(self._strangers) >= MAX_STRANGERS:
            streams.release(self._strangers.pop(0))
        self._strangers.append(path)
        streams.accepted(PeerStream(), path)
