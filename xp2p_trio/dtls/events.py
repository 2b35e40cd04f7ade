"""The news of a DTLS connection."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from xp2p_trio.dtls.parameters import CipherSuite, NamedGroup, Version
from xp2p_trio.sansio import Closed, Failed


@attrs.frozen
class HandshakeCompleted:
    """Application data may flow: Finished and CertificateVerify are verified and the fingerprint is the announced one.

    Attributes:
        version: the protocol version.
        cipher_suite: the suite in use.
        group: the group of the key exchange.
        peer_certificate: DER of the peer's certificate.
    """

    version: Version
    cipher_suite: CipherSuite
    group: NamedGroup
    peer_certificate: bytes = attrs.field(repr=lambda der: f"<{len(der)} bytes>")


Event: TypeAlias = HandshakeCompleted | Closed | Failed
