"""What a description says of DTLS: fingerprints (RFC 8122 section 5), setup and tls-id (RFC 8842 sections 4 and 5)."""

from __future__ import annotations

import enum
import re
from typing import Final

import attrs

from xp2p_trio.errors import InvalidArgument
from xp2p_trio.sdp.grammar import TOKEN
from xp2p_trio.sdp.session import Attribute, MediaSection, Session, inherited_attribute

DIGEST_SIZES: Final = {"md2": 16, "md5": 16, "sha-1": 20, "sha-224": 28, "sha-256": 32, "sha-384": 48, "sha-512": 64}
"""Bytes of the digests that RFC 8122 section 5 names. Which of them are trusted is not decided here."""

_HEX_PAIRS: Final = re.compile(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2})*")
_TLS_ID: Final = re.compile(r"[A-Za-z0-9+/\-_]{20,255}")


class Setup(enum.StrEnum):
    """Which end starts the DTLS handshake (RFC 4145 section 4)."""

    ACTPASS = "actpass"
    ACTIVE = "active"
    PASSIVE = "passive"
    HOLDCONN = "holdconn"


@attrs.frozen
class FingerprintAttribute:
    """The digest of a certificate (RFC 8122 section 5).

    Attributes:
        algorithm: "sha-256" and the like, in lower case.
        value: the digest; of an algorithm that RFC 8122 does not name, any number of bytes.

    Raises:
        InvalidArgument: the algorithm is no token, or the digest has not its size.
    """

    algorithm: str
    value: bytes

    def __attrs_post_init__(self) -> None:
        """Refuse what would not survive the line."""
        size = DIGEST_SIZES.get(self.algorithm, len(self.value))
        if TOKEN.fullmatch(self.algorithm) is None or self.algorithm != self.algorithm.lower():
            raise InvalidArgument(f"fingerprint algorithm {self.algorithm!r} is not a token in lower case")
        if not self.value or len(self.value) != size:
            raise InvalidArgument(f"{self.algorithm} fingerprint of {len(self.value)} bytes")

    def __str__(self) -> str:
        """The value of the attribute: the algorithm, and bytes in upper-case hex between colons."""
        return f"{self.algorithm} {self.value.hex(':').upper()}"


def fingerprints(session: Session, section: MediaSection) -> tuple[FingerprintAttribute, ...]:
    """Those of the section or, where it has none, those of the session (RFC 8122 section 5).

    Raises:
        SdpError: there is none, or one is malformed.
    """
    for level in (section.attributes, session.attributes):
        found = tuple(_fingerprint(attribute) for attribute in level if attribute.name == "fingerprint")
        if found:
            return found
    raise section.error("a=fingerprint is missing")


def setup(session: Session, section: MediaSection) -> Setup:
    """`a=setup`, of the section before that of the session.

    Raises:
        SdpError: it is missing (RFC 8842 section 5.1 demands it) or unknown.
    """
    attribute = inherited_attribute(session, section, "setup")
    if attribute is None:
        raise section.error("a=setup is missing")
    try:
        return Setup((attribute.value or "").lower())
    except ValueError:
        raise attribute.error("setup is none of actpass, active, passive and holdconn") from None


def tls_id(section: MediaSection) -> str | None:
    """`a=tls-id`, a media-level attribute (RFC 8842 section 4).

    Raises:
        SdpError: it is outside of the grammar.
    """
    attribute = section.attribute("tls-id")
    if attribute is None:
        return None
    value = attribute.value or ""
    if not is_tls_id(value):
        raise attribute.error("tls-id is not 20 to 255 of its characters")
    return value


def is_tls_id(text: str) -> bool:
    """RFC 8842 section 4: 20 to 255 letters, digits, "+", "/", "-" and "_"."""
    return _TLS_ID.fullmatch(text) is not None


def _fingerprint(attribute: Attribute) -> FingerprintAttribute:
    algorithm, _, digest = (attribute.value or "").partition(" ")
    algorithm = algorithm.lower()
    if TOKEN.fullmatch(algorithm) is None or _HEX_PAIRS.fullmatch(digest) is None:
        raise attribute.error("a fingerprint is an algorithm and bytes in hex between colons")
    value = bytes.fromhex(digest.replace(":", ""))
    if len(value) != DIGEST_SIZES.get(algorithm, len(value)):
        raise attribute.error(f"{algorithm} fingerprint of {len(value)} bytes, where {DIGEST_SIZES[algorithm]} are due")
    return FingerprintAttribute(algorithm, value)
