"""The streams of a TURN server's clients."""

from __future__ import annotations

import math
from typing import final

import attrs

from xp2p_trio.errors import DecodeError
from xp2p_trio.testing.turn_allocations import Allocations, FiveTuple, StreamDropped, TurnServerEvent
from xp2p_trio.testing.turn_configuration import TurnServerConfiguration
from xp2p_trio.turn import StreamFramer


@attrs.define
class _Stream:
    silent_since: float
    framer: StreamFramer = attrs.field(factory=StreamFramer)


@final
class ClientStreams:
    """Cuts what they bring into messages, and drops those that are too many, that bring noise, or that bring nothing.

    An allocation ends with its stream (RFC 8656 section 5).
    """

    def __init__(
        self, configuration: TurnServerConfiguration, allocations: Allocations, events: list[TurnServerEvent]
    ) -> None:
        self._configuration = configuration
        self._allocations = allocations
        self._events = events
        self._streams: dict[FiveTuple, _Stream] = {}

    def __len__(self) -> int:
        return len(self._streams)

    def accept(self, path: FiveTuple, now: float) -> None:
        """There is a new one."""
        self.forget(path)
        self._streams[path] = _Stream(now)
        if len(self._streams) > self._configuration.max_streams:
            self._drop(path, f"there are {self._configuration.max_streams} streams already")

    def forget(self, path: FiveTuple) -> None:
        """It is at its end."""
        if self._streams.pop(path, None) is not None:
            self._allocations.delete(path, is_expired=False)

    def decode(self, path: FiveTuple, data: bytes, now: float) -> list[bytes]:
        """The messages that are complete now; none of a stream that was never accepted, or that is dropped.

        Call it again, without data, until there are none: noise behind a good message is told only then.
        """
        stream = self._streams.get(path)
        if stream is None:
            return []
        try:
            frames = stream.framer.decode_frames(data)
        except DecodeError as error:
            self._drop(path, str(error))
            return []
        if frames:
            stream.silent_since = now
        return frames

    def expire(self, now: float) -> None:
        """Drop those that want nothing."""
        for path in [path for path, ends in self._deadlines() if ends <= now]:
            self._drop(path, f"nothing came for {self._configuration.stream_timeout:g} s")

    def next_expiry(self) -> float:
        """When the next one is dropped."""
        return min((ends for _, ends in self._deadlines()), default=math.inf)

    def _deadlines(self) -> list[tuple[FiveTuple, float]]:
        patience = self._configuration.stream_timeout
        return [
            (path, stream.silent_since + patience)
            for path, stream in self._streams.items()
            if self._allocations.get(path) is None
        ]

    def _drop(self, path: FiveTuple, reason: str) -> None:
        self.forget(path)
        self._events.append(StreamDropped(path.server, path.client, path.transport, reason))
