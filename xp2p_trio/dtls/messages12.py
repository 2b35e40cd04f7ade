"""The handshake messages of DTLS 1.2 as values (RFC 5246 section 7.4, RFC 6347 section 4.3.2, RFC 8422 section 5).

Bodies only; the header is in `handshake`. Each message has the layout that its decoder reads, field by field.
"""

from __future__ import annotations

import attrs

from xp2p_trio.dtls.extensions import Extensions, encode_extensions, read_extensions
from xp2p_trio.dtls.reader import Reader, encode_integers, encode_vector
from xp2p_trio.errors import DecodeError

RANDOM_SIZE = 32
NAMED_CURVE = 3
"""ECCurveType named_curve (RFC 8422 section 5.4), the only one that is not deprecated."""

MAX_CHAIN_LENGTH = 10
"""Certificates in a chain; only the first one matters here."""


@attrs.frozen
class ClientHello:
    """RFC 6347 section 4.2.1."""

    client_version: int
    random: bytes
    session_id: bytes
    cookie: bytes
    cipher_suites: tuple[int, ...]
    compression_methods: tuple[int, ...]
    extensions: Extensions


@attrs.frozen
class HelloVerifyRequest:
    """RFC 6347 section 4.2.1."""

    server_version: int
    cookie: bytes


@attrs.frozen
class ServerHello:
    """RFC 5246 section 7.4.1.3."""

    server_version: int
    random: bytes
    session_id: bytes
    cipher_suite: int
    compression_method: int
    extensions: Extensions


@attrs.frozen
class ServerKeyExchange:
    """RFC 8422 section 5.4.

    Attributes:
        group: see `NamedGroup`.
        public_key: the server's ephemeral key.
        scheme: see `SignatureScheme`.
        signature: over both randoms and `params`.
    """

    group: int
    public_key: bytes
    scheme: int
    signature: bytes

    @property
    def params(self) -> bytes:
        """The ServerECDHParams that are signed."""
        return encode_server_ecdh_params(self.group, self.public_key)


@attrs.frozen
class CertificateRequest:
    """RFC 5246 section 7.4.4; the authorities are left out, as nobody here has one."""

    certificate_types: tuple[int, ...]
    schemes: tuple[int, ...]


@attrs.frozen
class CertificateVerify:
    """RFC 5246 section 7.4.8."""

    scheme: int
    signature: bytes


def decode_client_hello(body: bytes) -> ClientHello:
    """Raises DecodeError when the body is malformed."""
    reader = Reader(body)
    client_version = reader.read_integer(2)
    random = reader.read(RANDOM_SIZE)
    session_id = reader.read_vector(1)
    cookie = reader.read_vector(1)
    cipher_suites = reader.read_integers(2, 2)
    compression_methods = reader.read_integers(1, 1)
    extensions = read_extensions(reader)
    reader.finish()
    if len(session_id) > 32:
        raise DecodeError(f"a session id of {len(session_id)} bytes")
    return ClientHello(client_version, random, session_id, cookie, cipher_suites, compression_methods, extensions)


def encode_client_hello(message: ClientHello) -> bytes:
    """The body of a ClientHello."""
    return (
        message.client_version.to_bytes(2, "big")
        + message.random
        + encode_vector(message.session_id, 1)
        + encode_vector(message.cookie, 1)
        + encode_integers(message.cipher_suites, 2, 2)
        + encode_integers(message.compression_methods, 1, 1)
        + encode_extensions(message.extensions)
    )


def decode_hello_verify_request(body: bytes) -> HelloVerifyRequest:
    """Raises DecodeError when the body is malformed."""
    reader = Reader(body)
    server_version = reader.read_integer(2)
    cookie = reader.read_vector(1)
    reader.finish()
    return HelloVerifyRequest(server_version, cookie)


def encode_hello_verify_request(message: HelloVerifyRequest) -> bytes:
    """The body of a HelloVerifyRequest."""
    return message.server_version.to_bytes(2, "big") + encode_vector(message.cookie, 1)


def decode_server_hello(body: bytes) -> ServerHello:
    """Raises DecodeError when the body is malformed."""
    reader = Reader(body)
    server_version = reader.read_integer(2)
    random = reader.read(RANDOM_SIZE)
    session_id = reader.read_vector(1)
    cipher_suite = reader.read_integer(2)
    compression_method = reader.read_integer(1)
    extensions = read_extensions(reader)
    reader.finish()
    if len(session_id) > 32:
        raise DecodeError(f"a session id of {len(session_id)} bytes")
    return ServerHello(server_version, random, session_id, cipher_suite, compression_method, extensions)


def encode_server_hello(message: ServerHello) -> bytes:
    """The body of a ServerHello."""
    return (
        message.server_version.to_bytes(2, "big")
        + message.random
        + encode_vector(message.session_id, 1)
        + message.cipher_suite.to_bytes(2, "big")
        + message.compression_method.to_bytes(1, "big")
        + encode_extensions(message.extensions)
    )


def decode_certificate(body: bytes) -> tuple[bytes, ...]:
    """The chain of DER certificates, leaf first (RFC 5246 section 7.4.2).

    Raises:
        DecodeError: the body is malformed, or the chain too long.
    """
    reader = Reader(body)
    entries = Reader(reader.read_vector(3))
    reader.finish()
    chain: list[bytes] = []
    while entries.remaining:
        if len(chain) == MAX_CHAIN_LENGTH:
            raise DecodeError(f"more than {MAX_CHAIN_LENGTH} certificates")
        certificate = entries.read_vector(3)
        if not certificate:
            raise DecodeError("an empty certificate")
        chain.append(certificate)
    return tuple(chain)


def encode_certificate(chain: tuple[bytes, ...]) -> bytes:
    """The body of a Certificate message."""
    return encode_vector(b"".join(encode_vector(certificate, 3) for certificate in chain), 3)


def encode_server_ecdh_params(group: int, public_key: bytes) -> bytes:
    """ServerECDHParams with a named curve (RFC 8422 section 5.4)."""
    return bytes((NAMED_CURVE,)) + group.to_bytes(2, "big") + encode_vector(public_key, 1)


def decode_server_key_exchange(body: bytes) -> ServerKeyExchange:
    """Raises DecodeError when the body is malformed or its curve is not named."""
    reader = Reader(body)
    curve_type = reader.read_integer(1)
    if curve_type != NAMED_CURVE:
        raise DecodeError(f"curve type {curve_type} instead of a named curve")
    group = reader.read_integer(2)
    public_key = reader.read_vector(1)
    scheme = reader.read_integer(2)
    signature = reader.read_vector(2)
    reader.finish()
    return ServerKeyExchange(group, public_key, scheme, signature)


def encode_server_key_exchange(message: ServerKeyExchange) -> bytes:
    """The body of a ServerKeyExchange."""
    return message.params + message.scheme.to_bytes(2, "big") + encode_vector(message.signature, 2)


def decode_certificate_request(body: bytes) -> CertificateRequest:
    """Raises DecodeError when the body is malformed. The authorities may be an empty list."""
    reader = Reader(body)
    certificate_types = reader.read_integers(1, 1)
    schemes = reader.read_integers(2, 2)
    authorities = Reader(reader.read_vector(2))
    reader.finish()
    while authorities.remaining:
        authorities.read_vector(2)
    return CertificateRequest(certificate_types, schemes)


def encode_certificate_request(message: CertificateRequest) -> bytes:
    """The body of a CertificateRequest without authorities."""
    return encode_integers(message.certificate_types, 1, 1) + encode_integers(message.schemes, 2, 2) + b"\x00\x00"


def decode_client_key_exchange(body: bytes) -> bytes:
    """The client's ephemeral public key (RFC 8422 section 5.7); raises DecodeError when malformed."""
    reader = Reader(body)
    public_key = reader.read_vector(1)
    reader.finish()
    return public_key


def encode_client_key_exchange(public_key: bytes) -> bytes:
    """The body of a ClientKeyExchange."""
    return encode_vector(public_key, 1)


def decode_certificate_verify(body: bytes) -> CertificateVerify:
    """Raises DecodeError when the body is malformed."""
    reader = Reader(body)
    scheme = reader.read_integer(2)
    signature = reader.read_vector(2)
    reader.finish()
    return CertificateVerify(scheme, signature)


def encode_certificate_verify(message: CertificateVerify) -> bytes:
    """The body of a CertificateVerify."""
    return message.scheme.to_bytes(2, "big") + encode_vector(message.signature, 2)
