"""Streams, which only the driver can make: asked for by an event, answered by a command, named by their path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar, final

from xp2p_trio.ice.events import Event, StreamReleased, StreamRequested, StreamRequestWithdrawn
from xp2p_trio.ice.pair import Path
from xp2p_trio.sansio import Address, Transport

OwnerT = TypeVar("OwnerT")


@final
class Streams:
    """Who asked for which stream, and whose the open ones are."""

    def __init__(self, events: list[Event]) -> None:
        self._events = events
        self._number = 0
        self._requests: dict[int, tuple[object, StreamRequested]] = {}
        self._open: dict[Path, object] = {}

    def request(
        self, owner: object, local_host: str | None, remote: Address, transport: Transport, server_name: str = ""
    ) -> None:
        """Ask for a stream."""
        self._number += 1
        event = StreamRequested(self._number, local_host, remote, transport, server_name)
        self._requests[self._number] = (owner, event)
        self._events.append(event)

    def opened(self, number: int, local: Address) -> tuple[object, Path] | None:
        """One is connected. Returns whose it is, or None when it was withdrawn, so that the driver closes it."""
        request = self._requests.pop(number, None)
        if request is None:
            return None
        owner, event = request
        path: Path = (local, event.remote, event.transport)
        self._open[path] = owner
        return owner, path

    def failed(self, number: int) -> object | None:
        """One cannot be connected. Returns whose it would have been."""
        request = self._requests.pop(number, None)
        return None if request is None else request[0]

    def accepted(self, owner: object, path: Path) -> None:
        """The other side has connected one."""
        self._open[path] = owner

    def requested(self, kind: type[OwnerT]) -> Iterator[OwnerT]:
        """The owners of this kind whose streams are being connected."""
        return (owner for owner, _ in list(self._requests.values()) if isinstance(owner, kind))

    def opened_by(self, kind: type[OwnerT]) -> Iterator[Path]:
        """The open streams of owners of this kind."""
        return (path for path, owner in list(self._open.items()) if isinstance(owner, kind))

    def owner(self, path: Path) -> object | None:
        """Whose the open stream is."""
        return self._open.get(path)

    def ended(self, path: Path) -> object | None:
        """One is at its end. Returns whose it was."""
        return self._open.pop(path, None)

    def withdraw(self, owner: object) -> None:
        """Whoever asked wants no stream any more."""
        for number in [number for number, (asker, _) in self._requests.items() if asker is owner]:
            del self._requests[number]
            self._events.append(StreamRequestWithdrawn(number))

    def release_all(self, kind: type[object]) -> None:
        """Let go of every stream, open or asked for, of owners of this kind."""
        for owner in self.requested(kind):
            self.withdraw(owner)
        for path in self.opened_by(kind):
            self.release(path)

    def release(self, path: Path) -> None:
        """Let the driver close one, if it is still open."""
        if self._open.pop(path, None) is not None:
            self._events.append(StreamReleased(*path))
