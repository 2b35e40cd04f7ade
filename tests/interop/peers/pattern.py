"""The test messages that both sides can make without sending them to each other first, and their digest.

`protocol.mjs` holds the same two functions for the JavaScript peers. This file imports the standard library only, since
the aiortc peer may run it in an interpreter of its own.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence

TABLE_SIZE = 65536


def _make_table() -> bytes:
    state = 2463534242  # Marsaglia's xorshift32 and its customary first state
    words = []
    for _ in range(TABLE_SIZE // 4):
        state ^= (state << 13) & 0xFFFFFFFF
        state ^= state >> 17
        state ^= (state << 5) & 0xFFFFFFFF
        words.append(state)
    return struct.pack(f"<{len(words)}I", *words)


_TABLE = _make_table()


def make_bytes(seed: int, index: int, size: int) -> bytes:
    """`size` bytes that differ for every (seed, index): a stretch of one pseudo-random ring."""
    start = (seed * 31 + index * 7919) % TABLE_SIZE
    repeats = (start + size) // TABLE_SIZE + 1
    return (_TABLE * repeats)[start : start + size]


def make_message(seed: int, index: int, sizes: Sequence[int]) -> str | bytes:
    """Message `index` of the run `seed`: every fourth is text, the sizes go round."""
    size = sizes[index % len(sizes)]
    if index % 4 == 3:
        return make_bytes(seed, index, size // 2).hex()
    return make_bytes(seed, index, size)


class Digest:
    """SHA-256 over kind, length and content of messages in their order."""

    def __init__(self, messages: Iterable[str | bytes] = ()) -> None:
        self.count = 0
        self._hash = hashlib.sha256()
        for message in messages:
            self.add(message)

    def add(self, message: str | bytes) -> None:
        """Count one more message."""
        kind, data = (b"t", message.encode()) if isinstance(message, str) else (b"b", message)
        self._hash.update(kind + struct.pack(">I", len(data)))
        self._hash.update(data)
        self.count += 1

    def hexdigest(self) -> str:
        """The digest so far."""
        return self._hash.hexdigest()
