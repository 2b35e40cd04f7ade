"""Fingerprints of certificates (RFC 8122 section 5): `sha-256 12:DF:3E:...`."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence

import attrs

from xp2p_trio.errors import DecodeError, InvalidArgument

_STRENGTH = {"sha-512": 3, "sha-384": 2, "sha-256": 1}
"""Hashes that are accepted, and how they rank. sha-1, md5 and md2 are refused (RFC 8122 section 5)."""

_TEXT = re.compile(r"([!#-'*+\-.0-9A-Z^-~]{1,32}) +([0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){0,255})", re.ASCII)


def _lower(name: str) -> str:
    return name.lower()


@attrs.frozen
class Fingerprint:
    """The hash of a DER certificate.

    Attributes:
        algorithm: name of the hash in lower case, for example "sha-256".
        value: the digest.
    """

    algorithm: str = attrs.field(converter=_lower)
    value: bytes

    def __str__(self) -> str:
        return encode_fingerprint(self)

    @property
    def is_usable(self) -> bool:
        """Whether its hash is strong enough, and its value as long as that hash makes it."""
        return self.algorithm in _STRENGTH and len(self.value) == _digest_size(self.algorithm)


def _digest_size(algorithm: str) -> int:
    return int(algorithm[4:]) // 8


def decode_fingerprint(text: str) -> Fingerprint:
    """Read the value of an `a=fingerprint` attribute.

    Raises:
        DecodeError: it is not a hash name, a space and hexadecimal bytes with colons between them, or the length does
            not fit the hash.
    """
    match = _TEXT.fullmatch(text)
    if match is None:
        raise DecodeError("a fingerprint is a hash name and bytes as in 'sha-256 AB:CD:...'")
    fingerprint = Fingerprint(match[1], bytes.fromhex(match[2].replace(":", "")))
    if fingerprint.algorithm in _STRENGTH and not fingerprint.is_usable:
        raise DecodeError(f"a {fingerprint.algorithm} fingerprint of {len(fingerprint.value)} bytes")
    return fingerprint


def encode_fingerprint(fingerprint: Fingerprint) -> str:
    """The text of RFC 8122 section 5."""
    return f"{fingerprint.algorithm} {fingerprint.value.hex(':').upper()}"


def fingerprint_certificate(der: bytes, algorithm: str = "sha-256") -> Fingerprint:
    """The fingerprint of a certificate.

    Raises:
        InvalidArgument: the hash is unknown or too weak.
    """
    name = algorithm.lower()
    if name not in _STRENGTH:
        raise InvalidArgument(f"hash {algorithm!r} is not one of {', '.join(_STRENGTH)}")
    return Fingerprint(name, hashlib.new(name.replace("-", ""), der).digest())


def strongest_fingerprints(fingerprints: Sequence[Fingerprint]) -> tuple[Fingerprint, ...]:
    """Those of the strongest usable hash among them (RFC 8122 section 5: the most preferred hash that is known)."""
    usable = [fingerprint for fingerprint in fingerprints if fingerprint.is_usable]
    if not usable:
        return ()
    best = max(_STRENGTH[fingerprint.algorithm] for fingerprint in usable)
    return tuple(fingerprint for fingerprint in usable if _STRENGTH[fingerprint.algorithm] == best)


def matches_fingerprint(der: bytes, fingerprints: Sequence[Fingerprint]) -> bool:
    """Whether a certificate is one of those announced, compared in constant time."""
    matched = False
    for fingerprint in strongest_fingerprints(fingerprints):
        actual = fingerprint_certificate(der, fingerprint.algorithm)
        matched |= hmac.compare_digest(actual.value, fingerprint.value)
    return matched
