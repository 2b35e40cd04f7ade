"""What comes in too early: data before its path is valid, and checks before the peer's credentials are known."""

from __future__ import annotations

from collections.abc import Container
from typing import Final, final

import attrs

from xp2p_trio.ice.pair import Path

MAX_PARKED_DATAGRAMS: Final = 16
"""Enough for a first DTLS flight and its repetition."""

MAX_PARKED_SIZE: Final = 20 * 1024
"""Bytes of all parked datagrams."""

MAX_EARLY_CHECKS: Final = 16
"""Checks that wait for the peer's credentials."""


@attrs.frozen
class EarlyCheck:
    """An answered request of a peer whose credentials are not known yet (RFC 8445 section 7.3).

    Attributes:
        path: where it came in, and from where.
        username_fragment: the sender's, as it says.
        priority: of the peer-reflexive candidate that the sender may be, or None.
        nomination: the number of the nomination that it makes, or 0.
    """

    path: Path
    username_fragment: str
    priority: int | None
    nomination: int


@final
class Parking:
    """Datagrams by the path that they came over, until that path is valid."""

    __slots__ = ("_datagrams", "_size")

    def __init__(self) -> None:
        self._datagrams: list[tuple[Path, bytes]] = []
        self._size = 0

    def park(self, path: Path, datagram: bytes, known: Container[Path]) -> int:
        """Keep a datagram for later.

        Args:
            path: where it came from.
            datagram: the bytes.
            known: paths on the check list. Their datagrams push out those of other paths, so that a stranger who
                fills the parking does not keep the peer out.

        Returns:
            How many datagrams have been dropped for it, itself included.
        """
        dropped = 0
        while not self._has_room(datagram):
            stranger = next((i for i, (other, _) in enumerate(self._datagrams) if other not in known), None)
            if stranger is None or path not in known:
                return dropped + 1
            self._size -= len(self._datagrams.pop(stranger)[1])
            dropped += 1
        self._datagrams.append((path, datagram))
        self._size += len(datagram)
        return dropped

    def release(self, path: Path) -> list[bytes]:
        """What has been parked for this path, oldest first."""
        if not self._datagrams:
            return []
        released = [datagram for other, datagram in self._datagrams if other == path]
        self._datagrams = [entry for entry in self._datagrams if entry[0] != path]
        self._size -= sum(map(len, released))
        return released

    def clear(self) -> int:
        """Forget all; how many it were."""
        count = len(self._datagrams)
        self._datagrams.clear()
        self._size = 0
        return count

    def _has_room(self, datagram: bytes) -> bool:
        return len(self._datagrams) < MAX_PARKED_DATAGRAMS and self._size + len(datagram) <= MAX_PARKED_SIZE
