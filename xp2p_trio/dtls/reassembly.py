"""Handshake messages put together from their fragments (RFC 6347 section 4.2.3).

A message is known by its message_seq alone, and all its fragments have the same type, length and bytes. Nothing says
which of two fragments that contradict each other is the genuine one, so that the message begins anew with the later:
a forged one then costs a repetition, and does not hold the place for ever. Memory is charged by bytes received, never
by lengths announced.
"""

from __future__ import annotations

import enum
from bisect import bisect_right
from collections.abc import Collection
from typing import final

from xp2p_trio.dtls.handshake import Fragment, Message
from xp2p_trio.dtls.parameters import HandshakeType

MAX_MESSAGES_AHEAD = 8
MAX_MESSAGE_SIZE = 16 * 1024
MAX_CERTIFICATE_SIZE = 32 * 1024
MAX_BUFFERED_SIZE = 64 * 1024

_OVERHEAD = 128
"""Charged for each kept piece, so that tiny fragments cannot hide their cost."""


class Disposition(enum.IntEnum):
    """What became of a fragment."""

    KEPT = 0
    STALE = 1
    """Its message was delivered before: the peer repeats itself."""
    REFUSED = 2
    """It is too far ahead or too large."""
    REPLACED = 3
    """It is kept, instead of what it contradicted or found no room beside."""


@final
class _Assembly:
    """A message in the making: disjoint pieces in order of offset."""

    __slots__ = ("handshake_type", "length", "offsets", "pieces", "received")

    def __init__(self, handshake_type: int, length: int) -> None:
        self.handshake_type = handshake_type
        self.length = length
        self.offsets: list[int] = []
        self.pieces: list[bytes] = []
        self.received = 0

    def agrees(self, fragment: Fragment) -> bool:
        """Whether a fragment contradicts nothing of what is here."""
        if fragment.handshake_type != self.handshake_type or fragment.length != self.length:
            return False
        body, offset = fragment.body, fragment.offset
        end = offset + len(body)
        for index in range(max(bisect_right(self.offsets, offset) - 1, 0), len(self.offsets)):
            start, piece = self.offsets[index], self.pieces[index]
            if start >= end:
                break
            low, high = max(start, offset), min(start + len(piece), end)
            if low < high and piece[low - start : high - start] != body[low - offset : high - offset]:
                return False
        return True

    def insert(self, offset: int, body: bytes) -> int:
        """Keep what is new of a piece; returns how many bytes of memory that takes."""
        charge = 0
        end = offset + len(body)
        position = offset
        index = bisect_right(self.offsets, position) - 1
        if index >= 0:
            position = max(position, self.offsets[index] + len(self.pieces[index]))
        index += 1
        while position < end:
            stop = min(end, self.offsets[index]) if index < len(self.offsets) else end
            if position < stop:
                self.offsets.insert(index, position)
                self.pieces.insert(index, body[position - offset : stop - offset])
                self.received += stop - position
                charge += stop - position + _OVERHEAD
                index += 1
            if index >= len(self.offsets):
                break
            position = self.offsets[index] + len(self.pieces[index])
            index += 1
        return charge


@final
class Reassembler:
    """Delivers whole messages in the order of their message_seq.

    Attributes:
        next_message_seq: of the message that is due.
    """

    __slots__ = ("_assemblies", "_charged", "next_message_seq")

    def __init__(self) -> None:
        self.next_message_seq = 0
        self._assemblies: dict[int, _Assembly] = {}
        self._charged = 0

    def add(self, fragment: Fragment) -> Disposition:
        """Take a fragment."""
        ahead = fragment.message_seq - self.next_message_seq
        if ahead < 0:
            return Disposition.STALE
        is_certificate = fragment.handshake_type == HandshakeType.CERTIFICATE
        maximum = MAX_CERTIFICATE_SIZE if is_certificate else MAX_MESSAGE_SIZE
        if ahead >= MAX_MESSAGES_AHEAD or fragment.length > maximum:
            return Disposition.REFUSED
        disposition = Disposition.KEPT
        if self._charged + len(fragment.body) + _OVERHEAD > MAX_BUFFERED_SIZE:
            self.discard()
            disposition = Disposition.REPLACED
        assembly = self._assemblies.get(fragment.message_seq)
        if assembly is not None and not assembly.agrees(fragment):
            self._forget(fragment.message_seq)
            assembly = None
            disposition = Disposition.REPLACED
        if assembly is None:
            assembly = _Assembly(fragment.handshake_type, fragment.length)
            self._assemblies[fragment.message_seq] = assembly
        self._charged += assembly.insert(fragment.offset, fragment.body)
        return disposition

    def take_message(self) -> Message | None:
        """The message that is due, once it is whole."""
        return self._take(self.next_message_seq)

    def take_first_message(self, handshake_types: Collection[int]) -> Message | None:
        """Any whole message of these types; the one that follows it is due next.

        For who does not know yet where the peer is.
        """
        for message_seq, assembly in self._assemblies.items():
            if assembly.received == assembly.length and assembly.handshake_type in handshake_types:
                return self._take(message_seq)
        return None

    def expect(self, message_seq: int) -> None:
        """The message of that number is due again: what was taken for it does not count."""
        self.next_message_seq = message_seq

    def _take(self, message_seq: int) -> Message | None:
        assembly = self._assemblies.get(message_seq)
        if assembly is None or assembly.received < assembly.length:
            return None
        for passed in [number for number in self._assemblies if number <= message_seq]:
            self._forget(passed)
        self.next_message_seq = message_seq + 1
        return Message(assembly.handshake_type, message_seq, b"".join(assembly.pieces))

    def _forget(self, message_seq: int) -> None:
        assembly = self._assemblies.pop(message_seq)
        self._charged -= assembly.received + _OVERHEAD * len(assembly.pieces)

    def discard(self) -> None:
        """Forget what is not delivered: no message spans a change of keys."""
        self._assemblies.clear()
        self._charged = 0
