"""The two encodings of a transport address in STUN (RFC 8489 sections 14.1 and 14.2).

 0                   1                   2                   3
 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|0 0 0 0 0 0 0 0|    Family     |         (X-)Port              |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|         (X-)Address: 32 bits, or 128 bits                     |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

import ipaddress
from struct import Struct

from xp2p_trio.errors import DecodeError, InvalidArgument
from xp2p_trio.sansio import Address

MAGIC_COOKIE = 0x2112A442
"""RFC 8489 section 5."""

_HEADER = Struct("!BBH")
_COOKIE = MAGIC_COOKIE.to_bytes(4, "big")
_NO_MASK = bytes(16)


def encode_address(address: Address) -> bytes:
    """The plain form of `address`, whose host is an IP literal."""
    return _encode(address, 0, _NO_MASK)


def encode_xor_address(address: Address, transaction_id: bytes) -> bytes:
    """The form that middleboxes do not rewrite."""
    return _encode(address, MAGIC_COOKIE >> 16, _COOKIE + transaction_id)


def decode_address(value: bytes) -> Address:
    """Inverse of `encode_address`.

    Raises:
        DecodeError: the family is unknown, or the length does not fit it.
    """
    return _decode(value, 0, _NO_MASK)


def decode_xor_address(value: bytes, transaction_id: bytes) -> Address:
    """Inverse of `encode_xor_address`.

    Raises:
        DecodeError: the family is unknown, or the length does not fit it.
    """
    return _decode(value, MAGIC_COOKIE >> 16, _COOKIE + transaction_id)


def _encode(address: Address, port_mask: int, mask: bytes) -> bytes:
    host, port = address
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        raise InvalidArgument(f"{host!r} is not an IP address; resolve it first") from None
    if not 0 <= port <= 0xFFFF:
        raise InvalidArgument(f"port {port} is not within 0 to 65535")
    packed = bytes(a ^ b for a, b in zip(ip.packed, mask, strict=False))
    return _HEADER.pack(0, 1 if ip.version == 4 else 2, port ^ port_mask) + packed


def _decode(value: bytes, port_mask: int, mask: bytes) -> Address:
    if len(value) < 4:
        raise DecodeError(f"address has {len(value)} bytes where it needs at least 8")
    _, family, port = _HEADER.unpack_from(value)
    size = {1: 4, 2: 16}.get(family)
    if size is None or len(value) != 4 + size:
        raise DecodeError(f"address of family {family} has {len(value)} bytes")
    packed = bytes(a ^ b for a, b in zip(value[4:], mask, strict=False))
    host = ipaddress.IPv4Address(packed) if family == 1 else ipaddress.IPv6Address(packed)
    return str(host), port ^ port_mask
