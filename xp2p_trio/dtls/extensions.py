"""Extensions of the hello messages (RFC 5246 section 7.4.1.4) and the bodies of those that are understood.

+------+------+------+------+----------------+
|    type     |   length    | data           |     ... preceded by the length of the whole list
+------+------+------+------+----------------+
"""

from __future__ import annotations

from typing import TypeAlias

from xp2p_trio.dtls.reader import Reader, encode_integers, encode_vector
from xp2p_trio.errors import DecodeError

Extensions: TypeAlias = dict[int, bytes]
"""Type to data, in the order of the wire."""


def read_extensions(reader: Reader) -> Extensions:
    """The extensions at the end of a hello; the list may be missing altogether.

    Raises:
        DecodeError: the list is malformed, or a type comes twice.
    """
    extensions: Extensions = {}
    if not reader.remaining:
        return extensions
    block = Reader(reader.read_vector(2))
    while block.remaining:
        kind = block.read_integer(2)
        if kind in extensions:
            raise DecodeError(f"extension {kind} comes twice")
        extensions[kind] = block.read_vector(2)
    return extensions


def encode_extensions(extensions: Extensions) -> bytes:
    """The list with its length in front."""
    return encode_vector(
        b"".join(kind.to_bytes(2, "big") + encode_vector(data, 2) for kind, data in extensions.items()), 2
    )


def decode_integer_list(data: bytes, length_size: int, element_size: int) -> tuple[int, ...]:
    """The body of an extension that is one list of numbers: supported_groups, signature_algorithms and so on.

    Raises:
        DecodeError: it is malformed or empty.
    """
    reader = Reader(data)
    values = reader.read_integers(length_size, element_size)
    reader.finish()
    if not values:
        raise DecodeError("an empty list in an extension")
    return values


def decode_use_srtp(data: bytes) -> tuple[tuple[int, ...], bytes]:
    """The protection profiles and the MKI of use_srtp (RFC 5764 section 4.1.1).

    Raises:
        DecodeError: it is malformed or has no profile.
    """
    reader = Reader(data)
    profiles = reader.read_integers(2, 2)
    mki = reader.read_vector(1)
    reader.finish()
    if not profiles:
        raise DecodeError("use_srtp without a profile")
    return profiles, mki


def encode_use_srtp(profiles: tuple[int, ...]) -> bytes:
    """The body of use_srtp, without an MKI."""
    return encode_integers(profiles, 2, 2) + b"\x00"


def decode_renegotiation_info(data: bytes) -> bytes:
    """The renegotiated_connection of RFC 5746 section 3.2.

    Raises:
        DecodeError: it is malformed.
    """
    reader = Reader(data)
    renegotiated_connection = reader.read_vector(1)
    reader.finish()
    return renegotiated_connection


EMPTY_RENEGOTIATION_INFO = b"\x00"
"""The body of renegotiation_info in an initial handshake (RFC 5746 section 3.4)."""
