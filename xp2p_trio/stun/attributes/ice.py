"""ICE's attributes (RFC 8445 section 16.1): PRIORITY has 32 bits, the tie-breakers 64, USE-CANDIDATE none."""

from __future__ import annotations

from struct import Struct
from typing import ClassVar, Self

import attrs

from xp2p_trio.stun.attributes.base import U32, check_range, exactly

_U64 = Struct("!Q")


@attrs.frozen
class Priority:
    """PRIORITY (RFC 8445 section 7.1.1): the priority of a peer-reflexive candidate found by this check."""

    priority: int

    type: ClassVar[int] = 0x0024

    def __attrs_post_init__(self) -> None:
        check_range(self.priority, 32, "PRIORITY")

    def encode_value(self, transaction_id: bytes) -> bytes:
        """32 bits."""
        return U32.pack(self.priority)

    @classmethod
    def decode_value(cls, value: bytes, transaction_id: bytes) -> Self:
        """Inverse of `encode_value`."""
        return cls(U32.unpack(exactly(value, 4, "PRIORITY"))[0])


@attrs.frozen
class UseCandidate:
    """USE-CANDIDATE (RFC 8445 section 7.1.2): a flag."""

    type: ClassVar[int] = 0x0025

    def encode_value(self, transaction_id: bytes) -> bytes:
        """Nothing."""
        return b""

    @classmethod
    def decode_value(cls, value: bytes, transaction_id: bytes) -> Self:
        """Inverse of `encode_value`."""
        exactly(value, 0, "USE-CANDIDATE")
        return cls()


@attrs.frozen
class _TieBreaker:
    tie_breaker: int

    def __attrs_post_init__(self) -> None:
        check_range(self.tie_breaker, 64, "tie-breaker")

    def encode_value(self, transaction_id: bytes) -> bytes:
        """64 bits."""
        return _U64.pack(self.tie_breaker)

    @classmethod
    def decode_value(cls, value: bytes, transaction_id: bytes) -> Self:
        """Inverse of `encode_value`."""
        return cls(_U64.unpack(exactly(value, 8, "tie-breaker"))[0])


@attrs.frozen
class IceControlled(_TieBreaker):
    """ICE-CONTROLLED (RFC 8445 section 7.1.3)."""

    type: ClassVar[int] = 0x8029


@attrs.frozen
class IceControlling(_TieBreaker):
    """ICE-CONTROLLING (RFC 8445 section 7.1.3)."""

    type: ClassVar[int] = 0x802A
