"""Verifying the integrity of a received message (RFC 8489 sections 9.1.3, 14.5 and 14.6)."""

from __future__ import annotations

import hmac

from xp2p_trio.stun.attributes import MessageIntegrity, MessageIntegritySha256
from xp2p_trio.stun.integrity import IntegrityAlgorithm, compute_integrity
from xp2p_trio.stun.message import HEADER_SIZE, Message


def verify_integrity(message: Message, key: bytes) -> IntegrityAlgorithm | None:
    """Check every integrity attribute of a decoded message, over the bytes as they came and in constant time.

    Returns:
        The strongest algorithm present, with which a response is to be protected too; None if there is none or any
        of them is wrong.
    """
    strongest = None
    for attribute in message.attributes:
        if isinstance(attribute, MessageIntegrity):
            strongest = strongest or IntegrityAlgorithm.SHA1
            algorithm = IntegrityAlgorithm.SHA1
        elif isinstance(attribute, MessageIntegritySha256):
            algorithm = strongest = IntegrityAlgorithm.SHA256
        else:
            continue
        raw = message.raw
        length = attribute.offset + 4 + algorithm.size - HEADER_SIZE
        if not 0 <= length <= 0xFFFF:
            return None
        covered = raw[:2] + length.to_bytes(2, "big") + raw[4 : attribute.offset]
        if not hmac.compare_digest(compute_integrity(covered, key, algorithm), attribute.digest):
            return None
    return strongest
