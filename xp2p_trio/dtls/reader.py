"""A cursor over bytes of the presentation language of TLS (RFC 5246 section 4).

A vector is a length of one, two or three bytes and that many bytes. Every read proves first that its bytes are
there; a list is walked by reading elements until the reader is at its end, and every element has at least one byte.
"""

from __future__ import annotations

from typing import final

from xp2p_trio.errors import DecodeError


@final
class Reader:
    """Reads integers and vectors off `data[position:end]`."""

    __slots__ = ("_data", "_end", "_position")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0
        self._end = len(data)

    @property
    def remaining(self) -> int:
        """How many bytes are left."""
        return self._end - self._position

    def read(self, size: int) -> bytes:
        """The next `size` bytes."""
        start = self._position
        stop = start + size
        if stop > self._end:
            raise DecodeError(f"{size} bytes wanted at offset {start}, {self._end - start} are left")
        self._position = stop
        return self._data[start:stop]

    def read_integer(self, size: int) -> int:
        """The next unsigned integer of `size` bytes, most significant byte first."""
        return int.from_bytes(self.read(size), "big")

    def read_vector(self, length_size: int) -> bytes:
        """The next vector, whose length takes `length_size` bytes."""
        return self.read(self.read_integer(length_size))

    def read_integers(self, length_size: int, element_size: int) -> tuple[int, ...]:
        """The next vector as a list of integers, all of the same size."""
        vector = self.read_vector(length_size)
        if len(vector) % element_size:
            raise DecodeError(f"a list of {element_size}-byte elements has {len(vector)} bytes")
        return tuple(
            int.from_bytes(vector[index : index + element_size], "big") for index in range(0, len(vector), element_size)
        )

    def finish(self) -> None:
        """Assert that nothing is left.

        Raises:
            DecodeError: there are trailing bytes.
        """
        if self.remaining:
            raise DecodeError(f"{self.remaining} trailing bytes")


def encode_vector(data: bytes, length_size: int) -> bytes:
    """A vector with its length in front."""
    return len(data).to_bytes(length_size, "big") + data


def encode_integers(values: tuple[int, ...], length_size: int, element_size: int) -> bytes:
    """A vector of integers of one size."""
    return encode_vector(b"".join(value.to_bytes(element_size, "big") for value in values), length_size)
