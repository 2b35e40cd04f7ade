"""Serial number arithmetic (RFC 1982) for the 32-bit TSNs and 16-bit SSNs of SCTP and the sequence numbers of DTLS.

`a < b` holds when `b` is ahead of `a` by less than half of the number space. At exactly half the RFC leaves the
order undefined; here neither is ahead of the other, so that a peer cannot make both comparisons true.
"""

from __future__ import annotations


def serial32_lt(a: int, b: int) -> bool:
    """Whether `b` is ahead of `a`."""
    return 0 < (b - a) & 0xFFFFFFFF < 0x80000000


def serial32_gt(a: int, b: int) -> bool:
    """Whether `a` is ahead of `b`."""
    return 0 < (a - b) & 0xFFFFFFFF < 0x80000000


def serial32_lte(a: int, b: int) -> bool:
    """Whether `b` is `a` or ahead of it."""
    return (b - a) & 0xFFFFFFFF < 0x80000000


def serial32_gte(a: int, b: int) -> bool:
    """Whether `a` is `b` or ahead of it."""
    return (a - b) & 0xFFFFFFFF < 0x80000000


def serial16_lt(a: int, b: int) -> bool:
    """Whether `b` is ahead of `a`."""
    return 0 < (b - a) & 0xFFFF < 0x8000


def serial16_gt(a: int, b: int) -> bool:
    """Whether `a` is ahead of `b`."""
    return 0 < (a - b) & 0xFFFF < 0x8000
