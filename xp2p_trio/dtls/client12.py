"""The client's side of the DTLS 1.2 handshake.

    client                                          server
    ClientHello                      -------->
                                     <--------      HelloVerifyRequest          only from a server without ICE
    ClientHello with its cookie      -------->
                                     <--------      ServerHello, Certificate, ServerKeyExchange,
                                                    CertificateRequest, ServerHelloDone
    Certificate, ClientKeyExchange,
    CertificateVerify,
    change_cipher_spec, Finished     -------->
                                     <--------      change_cipher_spec, Finished

The methods below follow this order; `states12.CLIENT_TABLE` says which one may come when. Each phase has a record of
what is known in it, which the next phase builds on. A server that does not ask for our certificate is refused, since
both sides must prove who they are (RFC 8827 section 6.5).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, final

import attrs
from cryptography.hazmat.primitives.asymmetric import rsa

from xp2p_trio.dtls.alerts import AlertDescription
from xp2p_trio.dtls.extensions import (
    EMPTY_RENEGOTIATION_INFO,
    Extensions,
    decode_use_srtp,
    encode_use_srtp,
)
from xp2p_trio.dtls.flights import FlightItem
from xp2p_trio.dtls.handshake import Message
from xp2p_trio.dtls.handshake12 import (
    PROTECTED_EPOCH,
    Party,
    PeerIdentity,
    Protection,
    Refusal,
    Result,
    Session,
    Step,
    check_finished,
    compute_verify_data,
    identify_peer,
    malformed,
    protect,
)
from xp2p_trio.dtls.key_exchange import exchange, generate_key_share
from xp2p_trio.dtls.key_schedule12 import SUITE_PARAMETERS
from xp2p_trio.dtls.machine12 import Machine12, check_extensions
from xp2p_trio.dtls.messages12 import (
    RANDOM_SIZE,
    CertificateVerify,
    ClientHello,
    ServerKeyExchange,
    decode_certificate_request,
    decode_hello_verify_request,
    decode_server_hello,
    decode_server_key_exchange,
    encode_certificate,
    encode_certificate_verify,
    encode_client_hello,
    encode_client_key_exchange,
)
from xp2p_trio.dtls.parameters import (
    NULL_COMPRESSION,
    UNCOMPRESSED_POINT_FORMAT,
    CipherSuite,
    ExtensionType,
    HandshakeType,
    NamedGroup,
    SignatureScheme,
    SrtpProfile,
    Version,
)
from xp2p_trio.dtls.reader import encode_integers
from xp2p_trio.dtls.signatures import OFFERED_SCHEMES, sign, signing_schemes, verify
from xp2p_trio.dtls.states12 import CLIENT_TABLE, ClientState, Input
from xp2p_trio.errors import Reason

MAX_COOKIE_REQUESTS = 4
"""A server may change its secret in between, but does not go on forever."""


@attrs.frozen
class _Offered:
    """While waiting for ServerHello.

    A HelloVerifyRequest and a ServerHello answer the ClientHello that has their message_seq. Anybody can forge the
    former, and then the latter comes for an earlier hello (RFC 6347 section 4.2.2).
    """

    hello: ClientHello
    sent: tuple[Message, ...]


@attrs.frozen
class _Selected:
    """Since ServerHello."""

    client_random: bytes
    server_random: bytes
    cipher_suite: CipherSuite
    srtp_profile: SrtpProfile | None


@attrs.frozen
class _Identified:
    """Since Certificate."""

    selected: _Selected
    peer: PeerIdentity


@attrs.frozen
class _Agreed:
    """Since ServerKeyExchange, whose signature proves that the server holds its certificate's key."""

    identified: _Identified
    server_key_exchange: ServerKeyExchange
    group: NamedGroup


@attrs.frozen
class _Asked:
    """Since CertificateRequest."""

    agreed: _Agreed
    scheme: SignatureScheme


@attrs.frozen
class _Answered:
    """Since our second flight."""

    protection: Protection
    session: Session


_Phase: TypeAlias = _Offered | _Selected | _Identified | _Agreed | _Asked | _Answered


@final
class ClientHandshake12(Machine12[ClientState]):
    """The client's machine."""

    __slots__ = ("_phase",)

    def __init__(self, party: Party) -> None:
        handlers: dict[Input, Callable[[Message], Result]] = {
            Input.HELLO_VERIFY_REQUEST: self._on_hello_verify_request,
            Input.SERVER_HELLO: self._on_server_hello,
            Input.CERTIFICATE: self._on_certificate,
            Input.SERVER_KEY_EXCHANGE: self._on_server_key_exchange,
            Input.CERTIFICATE_REQUEST: self._on_certificate_request,
            Input.SERVER_HELLO_DONE: self._on_server_hello_done,
            Input.FINISHED: self._on_finished,
        }
        super().__init__(
            party,
            CLIENT_TABLE,
            handlers,
            first_state=ClientState.WAIT_SERVER_HELLO,
            first_types=frozenset((HandshakeType.SERVER_HELLO, HandshakeType.HELLO_VERIFY_REQUEST)),
        )
        self._phase: _Phase = self._offer()

    def _offer(self) -> _Offered:
        party = self._party
        configuration = party.configuration
        extensions: Extensions = {
            ExtensionType.EXTENDED_MASTER_SECRET: b"",
            ExtensionType.RENEGOTIATION_INFO: EMPTY_RENEGOTIATION_INFO,
            ExtensionType.SUPPORTED_GROUPS: encode_integers(configuration.groups, 2, 2),
            ExtensionType.EC_POINT_FORMATS: encode_integers((UNCOMPRESSED_POINT_FORMAT,), 1, 1),
            ExtensionType.SIGNATURE_ALGORITHMS: encode_integers(OFFERED_SCHEMES, 2, 2),
            ExtensionType.USE_SRTP: encode_use_srtp(configuration.srtp_profiles),
        }
        hello = ClientHello(
            client_version=Version.DTLS_1_2,
            random=party.random_bytes(RANDOM_SIZE),
            session_id=b"",
            cookie=b"",
            cipher_suites=configuration.cipher_suites,
            compression_methods=(NULL_COMPRESSION,),
            extensions=extensions,
        )
        return _Offered(hello, (self._send_hello(hello),))

    def _send_hello(self, hello: ClientHello) -> Message:
        message = Message(HandshakeType.CLIENT_HELLO, self._message_seq, encode_client_hello(hello))
        self._message_seq += 1
        self.flight = (FlightItem(0, message),)
        return message

    def _on_hello_verify_request(self, message: Message) -> Result:
        """RFC 6347 section 4.2.1: the same hello once more, with the cookie; its version says nothing."""
        offered = self._phase
        assert isinstance(offered, _Offered)
        request = decode_hello_verify_request(message.body)
        if message.message_seq != offered.sent[-1].message_seq:
            return Step.STAY  # a copy of one that was answered
        if len(offered.sent) > MAX_COOKIE_REQUESTS:
            return Refusal(
                AlertDescription.UNEXPECTED_MESSAGE,
                Reason.PROTOCOL_VIOLATION,
                f"the server asked for a cookie {MAX_COOKIE_REQUESTS + 1} times",
            )
        hello = attrs.evolve(offered.hello, cookie=request.cookie)
        self._phase = _Offered(hello, (*offered.sent, self._send_hello(hello)))
        return Step.ADVANCE

    def _on_server_hello(self, message: Message) -> Result:
        offered = self._phase
        assert isinstance(offered, _Offered)
        hello = decode_server_hello(message.body)
        if message.message_seq >= len(offered.sent):
            return Refusal(
                AlertDescription.UNEXPECTED_MESSAGE,
                Reason.PROTOCOL_VIOLATION,
                f"ServerHello has the number {message.message_seq}, and {len(offered.sent)} ClientHello were sent",
            )
        if hello.server_version != Version.DTLS_1_2:
            return Refusal(
                AlertDescription.PROTOCOL_VERSION,
                Reason.HANDSHAKE_REFUSED,
                f"the server chose version 0x{hello.server_version:04x}, and DTLS 1.2 was offered",
            )
        if hello.cipher_suite not in offered.hello.cipher_suites or hello.compression_method != NULL_COMPRESSION:
            return Refusal(
                AlertDescription.ILLEGAL_PARAMETER,
                Reason.PROTOCOL_VIOLATION,
                f"the server chose suite 0x{hello.cipher_suite:04x} and compression {hello.compression_method}, "
                "which were not offered",
            )
        unasked = hello.extensions.keys() - offered.hello.extensions.keys()
        if unasked:
            return Refusal(
                AlertDescription.UNSUPPORTED_EXTENSION,
                Reason.PROTOCOL_VIOLATION,
                f"the server answered extensions {sorted(unasked)}, which were not offered",
            )
        srtp_profile = self._check_extensions(hello.extensions)
        if isinstance(srtp_profile, Refusal):
            return srtp_profile
        answered = offered.sent[message.message_seq]
        self._message_seq = answered.message_seq + 1
        self._transcript.append(answered)
        self._transcript.append(message)
        self._phase = _Selected(offered.hello.random, hello.random, CipherSuite(hello.cipher_suite), srtp_profile)
        return Step.ADVANCE

    def _check_extensions(self, extensions: Extensions) -> SrtpProfile | Refusal | None:
        missing = [
            kind.name.lower()
            for kind in (ExtensionType.EXTENDED_MASTER_SECRET, ExtensionType.RENEGOTIATION_INFO)
            if kind not in extensions
        ]
        if missing:  # RFC 7627 section 5.2, RFC 5746 section 3.4: each is a MUST for who does not want to be fooled
            return Refusal(
                AlertDescription.HANDSHAKE_FAILURE,
                Reason.HANDSHAKE_REFUSED,
                f"the server has no {' and no '.join(missing)}",
            )
        refusal = check_extensions(extensions)
        if refusal is not None:
            return refusal
        use_srtp = extensions.get(ExtensionType.USE_SRTP)
        if use_srtp is None:
            return None
        profiles, mki = decode_use_srtp(use_srtp)
        if len(profiles) != 1 or profiles[0] not in self._party.configuration.srtp_profiles or mki:
            return Refusal(
                AlertDescription.ILLEGAL_PARAMETER,
                Reason.PROTOCOL_VIOLATION,
                "the server's use_srtp is not one of the profiles that were offered",
            )
        return SrtpProfile(profiles[0])

    def _on_certificate(self, message: Message) -> Result:
        selected = self._phase
        assert isinstance(selected, _Selected)
        peer = identify_peer(self._party, message.body)
        if isinstance(peer, Refusal):
            return peer
        if SUITE_PARAMETERS[selected.cipher_suite].is_rsa is not isinstance(peer.public_key, rsa.RSAPublicKey):
            return Refusal(
                AlertDescription.UNSUPPORTED_CERTIFICATE,
                Reason.PROTOCOL_VIOLATION,
                f"the server's key does not fit {selected.cipher_suite.name}",
            )
        self._transcript.append(message)
        self._phase = _Identified(selected, peer)
        return Step.ADVANCE

    def _on_server_key_exchange(self, message: Message) -> Result:
        """RFC 8422 section 5.4: the signature covers both randoms and the parameters."""
        identified = self._phase
        assert isinstance(identified, _Identified)
        selected = identified.selected
        key_exchange = decode_server_key_exchange(message.body)
        if key_exchange.group not in self._party.configuration.groups or key_exchange.scheme not in OFFERED_SCHEMES:
            return Refusal(
                AlertDescription.ILLEGAL_PARAMETER,
                Reason.PROTOCOL_VIOLATION,
                f"the server chose group {key_exchange.group} and scheme 0x{key_exchange.scheme:04x}, "
                "which were not both offered",
            )
        signed = selected.client_random + selected.server_random + key_exchange.params
        if not verify(identified.peer.public_key, key_exchange.scheme, key_exchange.signature, signed):
            return Refusal(
                AlertDescription.DECRYPT_ERROR,
                Reason.PROTOCOL_VIOLATION,
                "the server's key exchange is not signed by the key of its certificate",
            )
        self._transcript.append(message)
        self._phase = _Agreed(identified, key_exchange, NamedGroup(key_exchange.group))
        return Step.ADVANCE

    def _on_certificate_request(self, message: Message) -> Result:
        agreed = self._phase
        assert isinstance(agreed, _Agreed)
        request = decode_certificate_request(message.body)
        ours = signing_schemes(self._party.certificate.private_key)
        scheme = next((scheme for scheme in ours if scheme in request.schemes), None)
        if scheme is None:
            return Refusal(
                AlertDescription.HANDSHAKE_FAILURE,
                Reason.HANDSHAKE_REFUSED,
                f"the server takes none of the signatures of our key: {', '.join(scheme.name for scheme in ours)}",
            )
        self._transcript.append(message)
        self._phase = _Asked(agreed, scheme)
        return Step.ADVANCE

    def _on_server_hello_done(self, message: Message) -> Result:
        asked = self._phase
        assert isinstance(asked, _Asked)
        if message.body:
            return malformed("ServerHelloDone is not empty")
        agreed = asked.agreed
        selected = agreed.identified.selected
        party = self._party
        share = generate_key_share(agreed.group, party.random_bytes)
        premaster_secret = exchange(share, agreed.server_key_exchange.public_key)
        if premaster_secret is None:
            return Refusal(
                AlertDescription.ILLEGAL_PARAMETER,
                Reason.PROTOCOL_VIOLATION,
                f"the server's public key is not one of {agreed.group.name}",
            )
        transcript = self._transcript
        transcript.append(message)
        certificate = self._write(HandshakeType.CERTIFICATE, encode_certificate((party.certificate.der,)))
        key_exchange = self._write(HandshakeType.CLIENT_KEY_EXCHANGE, encode_client_key_exchange(share.public_key))
        protection = protect(
            party, selected.cipher_suite, premaster_secret, transcript, selected.client_random, selected.server_random
        )
        signature = sign(party.certificate.private_key, asked.scheme, transcript.encode())
        proof = self._write(
            HandshakeType.CERTIFICATE_VERIFY, encode_certificate_verify(CertificateVerify(asked.scheme, signature))
        )
        verify_data = compute_verify_data(protection.secrets, transcript, by_client=True)
        finished = self._write(HandshakeType.FINISHED, verify_data, PROTECTED_EPOCH)
        self.flight = (certificate, key_exchange, proof, FlightItem(0, None), finished)
        self.protection = protection
        session = Session(
            version=Version.DTLS_1_2,
            cipher_suite=selected.cipher_suite,
            group=agreed.group,
            srtp_profile=selected.srtp_profile,
            peer_certificate=agreed.identified.peer.certificate,
        )
        self._phase = _Answered(protection, session)
        return Step.ADVANCE

    def _on_finished(self, message: Message) -> Result:
        answered = self._phase
        assert isinstance(answered, _Answered)
        result = check_finished(answered.protection, self._transcript, message.body, by_client=False)
        if result is Step.ADVANCE:
            self._transcript.restart()
            self.session = answered.session
        return result
