"""The attributes that say and prove who sends (RFC 8489 sections 9 and 14).

An element of PASSWORD-ALGORITHMS, and all of PASSWORD-ALGORITHM:

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |          Algorithm            |  Algorithm Parameters Length  |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |             Algorithm Parameters, padded to 4 bytes           |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from struct import Struct
from typing import ClassVar, Self

import attrs

from xp2p_trio.errors import DecodeError, InvalidArgument
from xp2p_trio.sansio import walk_tlv
from xp2p_trio.stun.attributes.base import TextAttribute, check_range, exactly

MAX_USERNAME_SIZE = 508
"""RFC 8489 section 14.3: fewer than 509 bytes."""

_ALGORITHM_HEADER = Struct("!HH")


@attrs.frozen
class Username(TextAttribute):
    """USERNAME (RFC 8489 section 14.3)."""

    type: ClassVar[int] = 0x0006
    limit: ClassVar[int] = MAX_USERNAME_SIZE


@attrs.frozen
class Realm(TextAttribute):
    """REALM (RFC 8489 section 14.9)."""

    type: ClassVar[int] = 0x0014


@attrs.frozen
class Nonce(TextAttribute):
    """NONCE (RFC 8489 section 14.10)."""

    type: ClassVar[int] = 0x0015


@attrs.frozen
class UserHash:
    """USERHASH (RFC 8489 section 14.4): SHA-256 of `username:realm`."""

    digest: bytes

    type: ClassVar[int] = 0x001E

    def __attrs_post_init__(self) -> None:
        if len(self.digest) != 32:
            raise InvalidArgument(f"USERHASH of {len(self.digest)} bytes where it needs 32")

    def encode_value(self, transaction_id: bytes) -> bytes:
        """The digest."""
        return self.digest

    @classmethod
    def decode_value(cls, value: bytes, transaction_id: bytes) -> Self:
        """Inverse of `encode_value`."""
        return cls(exactly(value, 32, "USERHASH"))


@attrs.frozen
class MessageIntegrity:
    """MESSAGE-INTEGRITY (RFC 8489 section 14.5).

    Attributes:
        digest: HMAC-SHA1, 20 bytes.
        offset: where the attribute starts in the datagram that it was decoded from; 0 in a built message.
    """

    digest: bytes
    offset: int = attrs.field(default=0, eq=False, repr=False)

    type: ClassVar[int] = 0x0008

    def __attrs_post_init__(self) -> None:
        if len(self.digest) != 20:
            raise InvalidArgument(f"MESSAGE-INTEGRITY of {len(self.digest)} bytes where it needs 20")

    def encode_value(self, transaction_id: bytes) -> bytes:
        """The digest."""
        return self.digest


@attrs.frozen
class MessageIntegritySha256:
    """MESSAGE-INTEGRITY-SHA256 (RFC 8489 section 14.6).

    Attributes:
        digest: HMAC-SHA256, 32 bytes; no usage here allows the truncated forms.
        offset: where the attribute starts in the datagram that it was decoded from; 0 in a built message.
    """

    digest: bytes
    offset: int = attrs.field(default=0, eq=False, repr=False)

    type: ClassVar[int] = 0x001C

    def __attrs_post_init__(self) -> None:
        if len(self.digest) != 32:
            raise InvalidArgument(f"MESSAGE-INTEGRITY-SHA256 of {len(self.digest)} bytes where it needs 32")

    def encode_value(self, transaction_id: bytes) -> bytes:
        """The digest."""
        return self.digest


@attrs.frozen
class PasswordAlgorithms:
    """PASSWORD-ALGORITHMS (RFC 8489 section 14.11): what the server can use, in its order.

    Attributes:
        algorithms: pairs of algorithm number (1 MD5, 2 SHA-256) and parameters.
    """

    algorithms: tuple[tuple[int, bytes], ...]

    type: ClassVar[int] = 0x8002

    def __attrs_post_init__(self) -> None:
        for algorithm, parameters in self.algorithms:
            check_range(algorithm, 16, "password algorithm")
            check_range(len(parameters), 16, "size of the parameters")

    def encode_value(self, transaction_id: bytes) -> bytes:
        """Each algorithm, its parameters padded to four bytes."""
        return b"".join(
            _encode_algorithm(algorithm, parameters) + bytes(-len(parameters) & 3)
            for algorithm, parameters in self.algorithms
        )

    @classmethod
    def decode_value(cls, value: bytes, transaction_id: bytes) -> Self:
        """Inverse of `encode_value`."""
        elements = walk_tlv(value, 0, length_counts_header=False)
        return cls(tuple((algorithm, value[start:stop]) for algorithm, start, stop in elements))


@attrs.frozen
class PasswordAlgorithm:
    """PASSWORD-ALGORITHM (RFC 8489 section 14.12): what the request's key was made with."""

    algorithm: int
    parameters: bytes = b""

    type: ClassVar[int] = 0x001D

    def __attrs_post_init__(self) -> None:
        check_range(self.algorithm, 16, "password algorithm")
        check_range(len(self.parameters), 16, "size of the parameters")

    def encode_value(self, transaction_id: bytes) -> bytes:
        """Number, length and parameters, padded to four bytes."""
        return _encode_algorithm(self.algorithm, self.parameters) + bytes(-len(self.parameters) & 3)

    @classmethod
    def decode_value(cls, value: bytes, transaction_id: bytes) -> Self:
        """Inverse of `encode_value`."""
        elements = walk_tlv(value, 0, length_counts_header=False)
        if len(elements) != 1:
            raise DecodeError(f"PASSWORD-ALGORITHM holds {len(elements)} algorithms where it needs one")
        algorithm, start, stop = elements[0]
        return cls(algorithm, value[start:stop])


def _encode_algorithm(algorithm: int, parameters: bytes) -> bytes:
    return _ALGORITHM_HEADER.pack(algorithm, len(parameters)) + parameters
