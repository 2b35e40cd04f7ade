"""The window against replayed records (RFC 6347 section 4.1.2.6)."""

from __future__ import annotations

from typing import final

REPLAY_WINDOW_SIZE = 256
"""Records. The RFC asks for 64 at least; paths that reorder a burst need more."""

_MASK = (1 << REPLAY_WINDOW_SIZE) - 1


@final
class ReplayWindow:
    """Remembers which of the newest sequence numbers of one epoch were seen.

    `accept` is called only after a record has been authenticated, so that a forged one cannot move the window.
    """

    __slots__ = ("_bitmap", "_newest")

    def __init__(self) -> None:
        self._newest = -1
        self._bitmap = 0  # bit i stands for the sequence number newest - i

    def is_replay(self, sequence_number: int) -> bool:
        """Whether the number was accepted before, or is too old to tell."""
        age = self._newest - sequence_number
        return age >= 0 and (age >= REPLAY_WINDOW_SIZE or self._bitmap >> age & 1 == 1)

    def accept(self, sequence_number: int) -> None:
        """Note the number of an authenticated record."""
        age = self._newest - sequence_number
        if age >= 0:
            self._bitmap |= 1 << age
        elif age > -REPLAY_WINDOW_SIZE:
            self._bitmap = (self._bitmap << -age | 1) & _MASK
            self._newest = sequence_number
        else:
            self._bitmap = 1
            self._newest = sequence_number
