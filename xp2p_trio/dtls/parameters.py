"""The registered numbers of TLS and DTLS that this package speaks, under the names of their RFCs."""

from __future__ import annotations

import enum


class Role(enum.IntEnum):
    """Which side begins (RFC 8842 section 5: `active` is the client, `passive` the server)."""

    CLIENT = 0
    SERVER = 1


class Version(enum.IntEnum):
    """Protocol versions; the wire holds the ones' complement of the version (RFC 6347 section 4.1)."""

    DTLS_1_2 = 0xFEFD


class ContentType(enum.IntEnum):
    """What a record carries (RFC 6347 section 4.1)."""

    CHANGE_CIPHER_SPEC = 20
    ALERT = 21
    HANDSHAKE = 22
    APPLICATION_DATA = 23


class HandshakeType(enum.IntEnum):
    """Handshake messages (RFC 6347 section 4.3.2)."""

    HELLO_REQUEST = 0
    CLIENT_HELLO = 1
    SERVER_HELLO = 2
    HELLO_VERIFY_REQUEST = 3
    CERTIFICATE = 11
    SERVER_KEY_EXCHANGE = 12
    CERTIFICATE_REQUEST = 13
    SERVER_HELLO_DONE = 14
    CERTIFICATE_VERIFY = 15
    CLIENT_KEY_EXCHANGE = 16
    FINISHED = 20


class CipherSuite(enum.IntEnum):
    """AEAD suites with forward secrecy, and no others (RFC 5289 section 3.2, RFC 7905 section 2, RFC 9325)."""

    TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 = 0xC02B
    TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 = 0xC02C
    TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 = 0xC02F
    TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 = 0xC030
    TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 = 0xCCA8
    TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 = 0xCCA9


class NamedGroup(enum.IntEnum):
    """Groups of the key exchange (RFC 8422 section 5.1.1)."""

    SECP256R1 = 23
    X25519 = 29


class SignatureScheme(enum.IntEnum):
    """Signatures; each value fixes the hash and the key (RFC 8446 section 4.2.3)."""

    RSA_PKCS1_SHA256 = 0x0401
    ECDSA_SECP256R1_SHA256 = 0x0403
    ECDSA_SECP384R1_SHA384 = 0x0503
    RSA_PSS_RSAE_SHA256 = 0x0804
    ED25519 = 0x0807


class SrtpProfile(enum.IntEnum):
    """SRTP protection profiles (RFC 5764 section 4.1.2, RFC 7714 section 14.2).

    They are negotiated because some peers refuse a handshake without them; their keys are never used.
    """

    SRTP_AES128_CM_HMAC_SHA1_80 = 0x0001
    SRTP_AEAD_AES_128_GCM = 0x0007
    SRTP_AEAD_AES_256_GCM = 0x0008


class ExtensionType(enum.IntEnum):
    """Hello extensions that are understood; all others are ignored."""

    SUPPORTED_GROUPS = 10
    EC_POINT_FORMATS = 11
    SIGNATURE_ALGORITHMS = 13
    USE_SRTP = 14
    EXTENDED_MASTER_SECRET = 23
    SUPPORTED_VERSIONS = 43
    RENEGOTIATION_INFO = 0xFF01


EMPTY_RENEGOTIATION_INFO_SCSV = 0x00FF
"""The cipher suite value that stands for an empty renegotiation_info (RFC 5746 section 3.3)."""

UNCOMPRESSED_POINT_FORMAT = 0
"""The only point format of RFC 8422 section 5.1.2."""

NULL_COMPRESSION = 0
"""The only compression method (RFC 5246 section 7.4.1.2)."""
