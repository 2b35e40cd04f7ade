"""Protection of records by an AEAD under DTLS 1.2: one `Sealer` or `Opener` a direction and epoch.

The sealer owns the sequence number, and the nonce is a function of it alone, so that no nonce comes twice under a key:

* AES-GCM (RFC 5288 section 3): the nonce is the 4-byte salt of the key block and the 8 bytes of epoch and sequence
  number, which travel in front of the ciphertext as the explicit part.
* ChaCha20-Poly1305 (RFC 7905 section 2): the nonce is the 12-byte IV of the key block XORed with the same 8 bytes,
  padded on the left; nothing travels.

The additional data is the header with epoch and sequence number in front and the length of the plaintext (RFC 5246
section 6.2.3.3).
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import TypeAlias, final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from xp2p_trio.dtls.parameters import Version
from xp2p_trio.dtls.record import MAX_PLAINTEXT_SIZE, MAX_SEQUENCE_NUMBER, RECORD_HEADER, encode_header

TAG_SIZE = 16
EXPLICIT_NONCE_SIZE = 8
NONCE_SIZE = 12
"""An IV of that size is XORed; a shorter one is completed by the explicit part."""

Aead: TypeAlias = AESGCM | ChaCha20Poly1305

_VERSION = int(Version.DTLS_1_2)
_EPOCH_AND_SEQUENCE = Struct("!HHI")
_ADDITIONAL_DATA = Struct("!HHIBHH")


def make_aead(cipher: type[AESGCM | ChaCha20Poly1305], key: bytes) -> Aead:
    """The AEAD object, which is kept for as long as the key is."""
    return cipher(key)


@final
class Sealer:
    """Seals records of one epoch; the sequence number only rises.

    Attributes:
        epoch: which epoch its records belong to.
        overhead: bytes that sealing adds to a plaintext, beside the header of the record.
        sequence_number: of the next record.
        limit: no record beyond this sequence number is sealed.
    """

    __slots__ = ("_encrypt", "_explicit", "_iv", "_iv_number", "epoch", "limit", "overhead", "sequence_number")

    def __init__(self, aead: Aead, iv: bytes, *, epoch: int, sequence_number: int = 0, limit: int) -> None:
        self._encrypt = aead.encrypt
        self._iv = iv
        self._explicit = len(iv) < NONCE_SIZE
        self._iv_number = int.from_bytes(iv, "big")
        self.epoch = epoch
        self.sequence_number = sequence_number
        self.overhead = TAG_SIZE + (EXPLICIT_NONCE_SIZE if self._explicit else 0)
        self.limit = min(limit, MAX_SEQUENCE_NUMBER)

    def seal(self, content_type: int, fragments: Iterable[bytes]) -> list[bytes]:
        """One whole record for each plaintext, as long as the key may be used."""
        records: list[bytes] = []
        append = records.append
        encrypt = self._encrypt
        pack_header = RECORD_HEADER.pack
        pack_additional = _ADDITIONAL_DATA.pack
        pack_sequence = _EPOCH_AND_SEQUENCE.pack
        iv, iv_number, epoch, limit = self._iv, self._iv_number, self.epoch, self.limit
        version = _VERSION
        explicit = self._explicit
        for fragment in fragments:
            sequence_number = self.sequence_number
            if sequence_number > limit:
                break
            self.sequence_number = sequence_number + 1
            upper = sequence_number >> 32
            lower = sequence_number & 0xFFFFFFFF
            size = len(fragment)
            additional = pack_additional(epoch, upper, lower, content_type, version, size)
            if explicit:
                nonce = pack_sequence(epoch, upper, lower)
                append(
                    pack_header(content_type, version, epoch, upper, lower, size + 24)
                    + nonce
                    + encrypt(iv + nonce, fragment, additional)
                )
            else:
                nonce = (iv_number ^ (epoch << 48 | sequence_number)).to_bytes(12, "big")
                append(
                    pack_header(content_type, version, epoch, upper, lower, size + 16)
                    + encrypt(nonce, fragment, additional)
                )
        return records


@final
class PlaintextSealer:
    """Frames the records of epoch 0, which have no keys yet.

    Its numbers only rise. RFC 6347 section 4.2.1 lets a server copy the one of ClientHello, for the sake of servers
    that keep no state; here each connection keeps its own, so that none comes twice either.

    Attributes:
        epoch: always 0.
        sequence_number: of the next record.
    """

    __slots__ = ("epoch", "sequence_number")

    overhead = 0

    def __init__(self) -> None:
        self.epoch = 0
        self.sequence_number = 0

    def seal(self, content_type: int, fragments: Iterable[bytes]) -> list[bytes]:
        """One whole record for each fragment."""
        records: list[bytes] = []
        for fragment in fragments:
            records.append(
                encode_header(content_type, Version.DTLS_1_2, 0, self.sequence_number, len(fragment)) + fragment
            )
            self.sequence_number += 1
        return records


@final
class Opener:
    """Opens records of one epoch.

    Attributes:
        epoch: which epoch it can open.
        minimum_size: of a fragment; a shorter one cannot be genuine.
    """

    __slots__ = ("_decrypt", "_explicit", "_iv", "_iv_number", "epoch", "minimum_size")

    def __init__(self, aead: Aead, iv: bytes, *, epoch: int) -> None:
        self._decrypt = aead.decrypt
        self._iv = iv
        self._explicit = len(iv) < NONCE_SIZE
        self._iv_number = int.from_bytes(iv, "big")
        self.epoch = epoch
        self.minimum_size = TAG_SIZE + (EXPLICIT_NONCE_SIZE if self._explicit else 0)

    def open(self, content_type: int, sequence_number: int, fragment: bytes) -> bytes | None:
        """The plaintext, or None if the record is not from the holder of the key."""
        size = len(fragment) - self.minimum_size
        if not 0 <= size <= MAX_PLAINTEXT_SIZE:
            return None
        epoch = self.epoch
        additional = _ADDITIONAL_DATA.pack(
            epoch, sequence_number >> 32, sequence_number & 0xFFFFFFFF, content_type, _VERSION, size
        )
        try:
            if self._explicit:
                return self._decrypt(self._iv + fragment[:8], fragment[8:], additional)
            nonce = (self._iv_number ^ (epoch << 48 | sequence_number)).to_bytes(12, "big")
            return self._decrypt(nonce, fragment, additional)
        except InvalidTag:
            return None
