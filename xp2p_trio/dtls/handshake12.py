"""What both sides of the DTLS 1.2 handshake share: refusals, the transcript, the identity check, the keys."""

from __future__ import annotations

import enum
import hmac
from collections.abc import Sequence
from typing import TypeAlias, final

import attrs
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from xp2p_trio.dtls.alerts import AlertDescription
from xp2p_trio.dtls.certificate import Certificate, decode_public_key
from xp2p_trio.dtls.configuration import Configuration
from xp2p_trio.dtls.fingerprint import Fingerprint, fingerprint_certificate, matches_fingerprint
from xp2p_trio.dtls.handshake import Message, encode_message
from xp2p_trio.dtls.key_schedule12 import (
    SUITE_PARAMETERS,
    ConnectionSecrets,
    derive_master_secret,
    derive_traffic_keys,
    derive_verify_data,
)
from xp2p_trio.dtls.messages12 import decode_certificate
from xp2p_trio.dtls.parameters import CipherSuite, NamedGroup, Role, SrtpProfile, Version
from xp2p_trio.dtls.protection import Opener, Sealer, make_aead
from xp2p_trio.dtls.signatures import PublicKey, schemes_of_key
from xp2p_trio.errors import Reason
from xp2p_trio.sansio import RandomBytes

PROTECTED_EPOCH = 1
"""There is only one epoch with keys, as nothing is ever negotiated anew."""


@attrs.frozen
class Refusal:
    """Why a handshake ends, and which alert says so."""

    alert: AlertDescription
    reason: Reason
    detail: str


class Step(enum.Enum):
    """What a handler says of the table's next state."""

    ADVANCE = "go there"
    STAY = "wait on here"


Result: TypeAlias = Refusal | Step


@attrs.frozen
class Party:
    """What a side brings along.

    Attributes:
        configuration: the settings.
        role: ours.
        certificate: our identity.
        remote_fingerprints: the peer's identity, as its description announced it.
        random_bytes: the injected randomness.
    """

    configuration: Configuration
    role: Role
    certificate: Certificate
    remote_fingerprints: Sequence[Fingerprint]
    random_bytes: RandomBytes


@attrs.frozen
class Session:
    """What a handshake agreed on."""

    version: Version
    cipher_suite: CipherSuite
    group: NamedGroup
    srtp_profile: SrtpProfile | None
    peer_certificate: bytes


@attrs.frozen
class Protection:
    """The keys of a session, as the two ends of a wire."""

    sealer: Sealer
    opener: Opener
    secrets: ConnectionSecrets


@final
class Transcript:
    """The messages of the handshake so far, each as if it had never been fragmented (RFC 6347 section 4.2.6)."""

    __slots__ = ("_messages",)

    def __init__(self) -> None:
        self._messages: list[bytes] = []

    def append(self, message: Message) -> None:
        """Count a message."""
        self._messages.append(encode_message(message))

    def restart(self) -> None:
        """Forget all: the exchange of a cookie does not count (RFC 6347 section 4.2.1)."""
        self._messages.clear()

    def encode(self) -> bytes:
        """All messages, one after the other."""
        return b"".join(self._messages)


@attrs.frozen
class PeerIdentity:
    """A certificate whose fingerprint is the announced one, and its key."""

    certificate: bytes
    public_key: PublicKey


def malformed(detail: str) -> Refusal:
    """The refusal of a message that does not parse."""
    return Refusal(AlertDescription.DECODE_ERROR, Reason.PROTOCOL_VIOLATION, detail)


def identify_peer(party: Party, body: bytes) -> PeerIdentity | Refusal:
    """Judge the peer's Certificate message: its leaf must be the announced one, and must not be ours.

    The fingerprint is compared before the certificate is parsed. Expiry, names and issuers mean nothing here: trust
    comes from the session description alone (RFC 8122 section 6.2, RFC 8827 section 6.5).

    Raises:
        DecodeError: the message or the certificate does not parse.
    """
    chain = decode_certificate(body)
    if not chain:
        return Refusal(AlertDescription.HANDSHAKE_FAILURE, Reason.HANDSHAKE_REFUSED, "the peer has no certificate")
    leaf = chain[0]
    if hmac.compare_digest(leaf, party.certificate.der):
        return Refusal(
            AlertDescription.BAD_CERTIFICATE,
            Reason.FINGERPRINT_MISMATCH,
            "the peer presented our own certificate: these are our own messages, reflected",
        )
    if not matches_fingerprint(leaf, party.remote_fingerprints):
        announced = ", ".join(str(fingerprint) for fingerprint in party.remote_fingerprints) or "none"
        return Refusal(
            AlertDescription.BAD_CERTIFICATE,
            Reason.FINGERPRINT_MISMATCH,
            f"the peer's certificate has the fingerprint {fingerprint_certificate(leaf)}, announced was {announced}; "
            "somebody is in between, or the description is not the one of this peer",
        )
    key = decode_public_key(leaf)
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey) or not (
        schemes_of_key(key)
    ):
        return Refusal(
            AlertDescription.UNSUPPORTED_CERTIFICATE,
            Reason.HANDSHAKE_REFUSED,
            "the key of the peer's certificate is none of ECDSA P-256, ECDSA P-384, RSA 2048 to 8192, Ed25519",
        )
    return PeerIdentity(leaf, key)


def protect(
    party: Party,
    cipher_suite: CipherSuite,
    premaster_secret: bytes,
    transcript: Transcript,
    client_random: bytes,
    server_random: bytes,
) -> Protection:
    """Derive the keys, once ClientKeyExchange is the last message of the transcript."""
    parameters = SUITE_PARAMETERS[cipher_suite]
    master_secret = derive_master_secret(parameters, premaster_secret, transcript.encode())
    keys = derive_traffic_keys(parameters, master_secret, client_random, server_random)
    client = make_aead(parameters.cipher, keys.client_key), keys.client_iv
    server = make_aead(parameters.cipher, keys.server_key), keys.server_iv
    ours, theirs = (client, server) if party.role is Role.CLIENT else (server, client)
    return Protection(
        Sealer(*ours, epoch=PROTECTED_EPOCH, limit=party.configuration.record_limit),
        Opener(*theirs, epoch=PROTECTED_EPOCH),
        ConnectionSecrets(parameters, master_secret, client_random, server_random),
    )


def compute_verify_data(secrets: ConnectionSecrets, transcript: Transcript, *, by_client: bool) -> bytes:
    """The content of a Finished message at this point of the transcript."""
    return derive_verify_data(secrets.parameters, secrets.master_secret, transcript.encode(), by_client=by_client)


def check_finished(protection: Protection, transcript: Transcript, body: bytes, *, by_client: bool) -> Result:
    """Compare the peer's verify_data in constant time."""
    expected = compute_verify_data(protection.secrets, transcript, by_client=by_client)
    if not hmac.compare_digest(expected, body):
        return Refusal(
            AlertDescription.DECRYPT_ERROR,
            Reason.PROTOCOL_VIOLATION,
            "the peer's Finished does not fit the handshake that we saw; somebody may have changed it on the way",
        )
    return Step.ADVANCE


def suites_for_key(party: Party) -> tuple[CipherSuite, ...]:
    """The configured suites under which our own key may sign as a server."""
    is_rsa = isinstance(party.certificate.private_key, rsa.RSAPrivateKey)
    return tuple(suite for suite in party.configuration.cipher_suites if SUITE_PARAMETERS[suite].is_rsa is is_rsa)
