"""What this machine does fast: the checksum of SCTP, the cipher of DTLS, datagrams in one system call."""

from __future__ import annotations

from time import perf_counter
from typing import Final

import attrs
import google_crc32c
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from xp2p_trio.driver.system_network import SystemNetwork

RECORD_SIZE: Final = 1200
"""Bytes, about those of a full datagram."""

_ROUNDS: Final = 500


@attrs.frozen(kw_only=True)
class Speedups:
    """What was found.

    Attributes:
        crc32c: how CRC-32C is computed: "c" for the extension, "python" for what is some hundred times slower.
        aes_gcm: seconds that AES-128-GCM takes for `RECORD_SIZE` bytes.
        is_udp_offloaded: whether runs of datagrams leave by one call (GSO).
    """

    crc32c: str
    aes_gcm: float
    is_udp_offloaded: bool


def measure_speedups() -> Speedups:
    """Look and measure, inside of trio; takes about a millisecond."""
    cipher, nonce, record = AESGCM(bytes(16)), bytes(12), bytes(RECORD_SIZE)
    start = perf_counter()
    for _ in range(_ROUNDS):
        cipher.encrypt(nonce, record, b"")
    duration = (perf_counter() - start) / _ROUNDS
    return Speedups(crc32c=google_crc32c.implementation, aes_gcm=duration, is_udp_offloaded=_is_offloading())


def _is_offloading() -> bool:
    try:
        socket = SystemNetwork().bind(("127.0.0.1", 0))
    except OSError:
        return False
    try:
        return socket.statistics.is_offloading
    finally:
        socket.close()
