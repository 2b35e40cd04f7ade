"""ABORT and ERROR with their causes (RFC 9260 sections 3.3.7 and 3.3.10).

 0                   1                   2                   3
 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
| Type = 6 or 9 |  Reserved   |T|            Length             |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|          Cause Code           |         Cause Length          |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/                   Cause-Specific Information                  /
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from xp2p_trio.sctp.wire.packet import decode_parameters, encode_chunk, encode_parameters
from xp2p_trio.sctp.wire.types import CauseCode, ChunkType

REFLECTED: Final = 0x01
"""The T bit: the verification tag is the receiver's own, sent back (RFC 9260 section 8.5.1)."""

_TEXT_CAUSES: Final = frozenset({CauseCode.USER_INITIATED_ABORT, CauseCode.PROTOCOL_VIOLATION})
_TEXT_LIMIT: Final = 200


@attrs.frozen
class Cause:
    """One error cause."""

    code: int
    information: bytes = b""

    def __str__(self) -> str:
        """For a person; text of the peer's is cut and made printable."""
        name = CauseCode(self.code).name.replace("_", " ").lower() if self.code in _KNOWN else f"cause {self.code}"
        if self.code in _TEXT_CAUSES and self.information:
            text = self.information[:_TEXT_LIMIT].decode("utf-8", "replace")
            return f"{name}: {''.join(letter if letter.isprintable() else '?' for letter in text)}"
        return name


_KNOWN: Final = frozenset(CauseCode)


def decode_causes(value: bytes) -> tuple[Cause, ...]:
    """Read the value of an ABORT or ERROR chunk.

    Raises:
        DecodeError: a length that does not fit.
    """
    return tuple(Cause(code, value[start:stop]) for code, start, stop in decode_parameters(value))


def encode_abort(causes: Sequence[Cause] = (), *, reflected: bool = False) -> bytes:
    """An ABORT chunk."""
    return encode_chunk(ChunkType.ABORT, REFLECTED if reflected else 0, _encode_causes(causes))


def encode_error(causes: Sequence[Cause]) -> bytes:
    """An ERROR chunk."""
    return encode_chunk(ChunkType.ERROR, 0, _encode_causes(causes))


def _encode_causes(causes: Sequence[Cause]) -> bytes:
    return encode_parameters((cause.code, cause.information) for cause in causes)
