"""What can be set about a DTLS connection."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from xp2p_trio.dtls.parameters import CipherSuite, NamedGroup, SrtpProfile
from xp2p_trio.dtls.record import MAX_PLAINTEXT_SIZE, MAX_SEQUENCE_NUMBER
from xp2p_trio.errors import InvalidArgument

MINIMUM_DATAGRAM_SIZE = 256
"""Small enough for any path, large enough for a record with a fragment in it."""

FORGERY_LIMIT = 1 << 36
"""Records that fail to open under one key (RFC 9147 section 4.5.3)."""


def _check_choice(_: object, attribute: attrs.Attribute[Any], value: tuple[object, ...]) -> None:
    if not value or len(set(value)) != len(value):
        raise InvalidArgument(f"{attribute.name} is empty or repeats itself: {value!r}")


def _suites(values: Iterable[int]) -> tuple[CipherSuite, ...]:
    try:
        return tuple(CipherSuite(value) for value in values)
    except ValueError as error:
        raise InvalidArgument(f"cipher_suites: {error}") from error


def _groups(values: Iterable[int]) -> tuple[NamedGroup, ...]:
    try:
        return tuple(NamedGroup(value) for value in values)
    except ValueError as error:
        raise InvalidArgument(f"groups: {error}") from error


@attrs.frozen(kw_only=True)
class Configuration:
    """Settings of a `Connection`; the defaults are right behind ICE.

    Attributes:
        cipher_suites: in order of preference.
        groups: of the key exchange, in order of preference.
        srtp_profiles: offered and answered because some peers insist; the keys are never used.
        max_datagram_size: largest datagram of the handshake, in bytes of UDP payload. Application data is as large as
            the layer above makes it.
        initial_retransmit_timeout: seconds until a flight is first repeated; it doubles from there. RFC 6347 section
            4.2.4.1 recommends one second to strangers; behind ICE the path is known to work.
        maximum_retransmit_timeout: seconds beyond which it no longer doubles (RFC 6347 section 4.2.4.1).
        maximum_retransmissions: of one flight.
        handshake_timeout: seconds that one flight may stay unanswered, and that a server waits for its client.
        require_cookie: as a server, send a HelloVerifyRequest first (RFC 6347 section 4.2.1). Not needed behind ICE,
            which admits datagrams of validated addresses only. Without ICE turn it on: it limits what a spoofed
            ClientHello can draw from us to less than three times its own size.
        record_limit: records sealed under one key before the connection fails.
        forgery_limit: records that do not open under one key before the connection fails.
        key_log: keep lines for an SSLKEYLOGFILE in `Connection.key_log_lines`, which give away all that is sent.
    """

    cipher_suites: tuple[CipherSuite, ...] = attrs.field(
        default=(
            CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            CipherSuite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            CipherSuite.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            CipherSuite.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
            CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            CipherSuite.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        ),
        converter=_suites,
        validator=_check_choice,
    )
    groups: tuple[NamedGroup, ...] = attrs.field(
        default=(NamedGroup.X25519, NamedGroup.SECP256R1), converter=_groups, validator=_check_choice
    )
    srtp_profiles: tuple[SrtpProfile, ...] = attrs.field(
        default=(
            SrtpProfile.SRTP_AEAD_AES_128_GCM,
            SrtpProfile.SRTP_AEAD_AES_256_GCM,
            SrtpProfile.SRTP_AES128_CM_HMAC_SHA1_80,
        ),
        converter=tuple,
        validator=_check_choice,
    )
    max_datagram_size: int = 1200
    initial_retransmit_timeout: float = 0.05
    maximum_retransmit_timeout: float = 60.0
    maximum_retransmissions: int = 12
    handshake_timeout: float = 60.0
    require_cookie: bool = False
    record_limit: int = MAX_SEQUENCE_NUMBER
    forgery_limit: int = FORGERY_LIMIT
    key_log: bool = False

    def __attrs_post_init__(self) -> None:
        if not MINIMUM_DATAGRAM_SIZE <= self.max_datagram_size <= MAX_PLAINTEXT_SIZE:
            raise InvalidArgument(
                f"max_datagram_size {self.max_datagram_size} is not within "
                f"{MINIMUM_DATAGRAM_SIZE} to {MAX_PLAINTEXT_SIZE} bytes"
            )
        if not 0 < self.initial_retransmit_timeout <= self.maximum_retransmit_timeout:
            raise InvalidArgument("initial_retransmit_timeout is not within 0 to maximum_retransmit_timeout seconds")
        if not 0 < self.handshake_timeout < float("inf"):
            raise InvalidArgument(f"handshake_timeout {self.handshake_timeout} is not a positive number of seconds")
        if self.maximum_retransmissions < 0:
            raise InvalidArgument(f"maximum_retransmissions {self.maximum_retransmissions} is negative")
        if not 1 <= self.record_limit <= MAX_SEQUENCE_NUMBER:
            raise InvalidArgument(f"record_limit {self.record_limit} is not within 1 to 2**48 - 1")
        if self.forgery_limit < 1:
            raise InvalidArgument(f"forgery_limit {self.forgery_limit} is not positive")
