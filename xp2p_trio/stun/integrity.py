"""Keys, message integrity and fingerprint (RFC 8489 sections 9.1.1, 9.2.2, 14.5 to 14.7, 18.5.1)."""

from __future__ import annotations

import enum
import hashlib
import hmac
import unicodedata
import zlib

_FINGERPRINT_MASK = 0x5354554E


class IntegrityAlgorithm(enum.Enum):
    """The two integrity attributes: name of the hash, size of the digest, attribute type."""

    SHA1 = ("sha1", 20, 0x0008)
    SHA256 = ("sha256", 32, 0x001C)

    @property
    def hash_name(self) -> str:
        """As `hashlib` knows it."""
        return self.value[0]

    @property
    def size(self) -> int:
        """Bytes of the digest."""
        return self.value[1]

    @property
    def attribute_type(self) -> int:
        """Type of the attribute that carries the digest."""
        return self.value[2]


class PasswordAlgorithmNumber(enum.IntEnum):
    """RFC 8489 section 18.5."""

    MD5 = 1
    SHA256 = 2


def opaque_string(text: str) -> str:
    """Prepare a password or realm: other spaces become U+0020, then NFC (RFC 8265 section 4.2.2)."""
    spaced = "".join(" " if unicodedata.category(c) == "Zs" else c for c in text)
    return unicodedata.normalize("NFC", spaced)


def short_term_key(password: str) -> bytes:
    """RFC 8489 section 9.1.1."""
    return opaque_string(password).encode()


def long_term_key(
    username: str, realm: str, password: str, algorithm: PasswordAlgorithmNumber = PasswordAlgorithmNumber.MD5
) -> bytes:
    """RFC 8489 sections 9.2.2 and 18.5.1."""
    text = f"{username}:{opaque_string(realm)}:{opaque_string(password)}".encode()
    if algorithm is PasswordAlgorithmNumber.MD5:
        return hashlib.md5(text, usedforsecurity=False).digest()
    return hashlib.sha256(text).digest()


def user_hash(username: str, realm: str) -> bytes:
    """The value of USERHASH (RFC 8489 section 14.4)."""
    return hashlib.sha256(f"{opaque_string(username)}:{opaque_string(realm)}".encode()).digest()


def compute_integrity(covered: bytes, key: bytes, algorithm: IntegrityAlgorithm) -> bytes:
    """The HMAC over a message up to the integrity attribute, whose header length reaches to that attribute's end."""
    return hmac.digest(key, covered, algorithm.hash_name)


def fingerprint_of(covered: bytes) -> int:
    """The value of FINGERPRINT behind `covered`."""
    return zlib.crc32(covered) ^ _FINGERPRINT_MASK
