"""The server's side of the DTLS 1.2 handshake.

    client                                          server
    ClientHello                      -------->
                                     <--------      HelloVerifyRequest          only with require_cookie
    ClientHello with its cookie      -------->
                                     <--------      ServerHello, Certificate, ServerKeyExchange,
                                                    CertificateRequest, ServerHelloDone
    Certificate, ClientKeyExchange,
    CertificateVerify,
    change_cipher_spec, Finished     -------->
                                     <--------      change_cipher_spec, Finished

The methods below follow this order; `states12.SERVER_TABLE` says which one may come when. Each phase has a record of
what is known in it, which the next phase builds on. A client must prove who it is: there is no state that passes by
its Certificate and CertificateVerify.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, final

import attrs

from xp2p_trio.dtls.alerts import AlertDescription
from xp2p_trio.dtls.cookies import SECRET_SIZE, is_valid_cookie, make_cookie
from xp2p_trio.dtls.extensions import (
    EMPTY_RENEGOTIATION_INFO,
    Extensions,
    decode_integer_list,
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
    protect,
    suites_for_key,
)
from xp2p_trio.dtls.key_exchange import KeyShare, exchange, generate_key_share
from xp2p_trio.dtls.machine12 import Machine12, check_extensions
from xp2p_trio.dtls.messages12 import (
    RANDOM_SIZE,
    CertificateRequest,
    ClientHello,
    HelloVerifyRequest,
    ServerHello,
    ServerKeyExchange,
    decode_certificate_verify,
    decode_client_hello,
    decode_client_key_exchange,
    encode_certificate,
    encode_certificate_request,
    encode_hello_verify_request,
    encode_server_ecdh_params,
    encode_server_hello,
    encode_server_key_exchange,
)
from xp2p_trio.dtls.parameters import (
    EMPTY_RENEGOTIATION_INFO_SCSV,
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
from xp2p_trio.dtls.states12 import SERVER_TABLE, Input, ServerState
from xp2p_trio.errors import Reason

CLIENT_CERTIFICATE_TYPES = (64, 1)
"""ecdsa_sign, which also stands for Ed25519, and rsa_sign (RFC 8422 section 5.5, RFC 5246 section 7.4.4)."""

_DTLS_MAJOR = 0xFE
_COOKIE_REQUEST_VERSION = 0xFEFF
"""RFC 6347 section 4.2.1: DTLS 1.0, whatever is negotiated later."""


@attrs.frozen
class _Listening:
    """While waiting for ClientHello."""

    cookie_secret: bytes = attrs.field(repr=False)


@attrs.frozen
class _Selected:
    """Since ClientHello."""

    client_random: bytes
    server_random: bytes
    cipher_suite: CipherSuite
    group: NamedGroup
    scheme: SignatureScheme
    srtp_profile: SrtpProfile | None


@attrs.frozen
class _Answered:
    """Since our flight."""

    selected: _Selected
    share: KeyShare


@attrs.frozen
class _Identified:
    """Since Certificate."""

    answered: _Answered
    peer: PeerIdentity


@attrs.frozen
class _Keyed:
    """Since ClientKeyExchange; nothing is proved yet."""

    identified: _Identified
    protection: Protection


@attrs.frozen
class _Proved:
    """Since CertificateVerify, which proves that the client holds its certificate's key."""

    protection: Protection
    session: Session


_Phase: TypeAlias = _Listening | _Answered | _Identified | _Keyed | _Proved


@final
class ServerHandshake12(Machine12[ServerState]):
    """The server's machine."""

    __slots__ = ("_phase",)

    def __init__(self, party: Party) -> None:
        handlers: dict[Input, Callable[[Message], Result]] = {
            Input.CLIENT_HELLO: self._on_client_hello,
            Input.CERTIFICATE: self._on_certificate,
            Input.CLIENT_KEY_EXCHANGE: self._on_client_key_exchange,
            Input.CERTIFICATE_VERIFY: self._on_certificate_verify,
            Input.FINISHED: self._on_finished,
        }
        super().__init__(
            party,
            SERVER_TABLE,
            handlers,
            first_state=ServerState.WAIT_CLIENT_HELLO,
            first_types=frozenset((HandshakeType.CLIENT_HELLO,)),
        )
        self._phase: _Phase = _Listening(party.random_bytes(SECRET_SIZE))

    def _on_client_hello(self, message: Message) -> Result:
        listening = self._phase
        assert isinstance(listening, _Listening)
        hello = decode_client_hello(message.body)
        self._message_seq = message.message_seq  # which is the first one that we answer, or 1 after a cookie
        # Versions count downwards. supported_versions, of a client that also speaks DTLS 1.3, must have ours in it.
        if hello.client_version >> 8 != _DTLS_MAJOR or hello.client_version > Version.DTLS_1_2:
            return _no_common("version", AlertDescription.PROTOCOL_VERSION)
        versions = hello.extensions.get(ExtensionType.SUPPORTED_VERSIONS)
        if versions is not None and Version.DTLS_1_2 not in decode_integer_list(versions, 1, 2):
            return _no_common("version", AlertDescription.PROTOCOL_VERSION)
        if self._party.configuration.require_cookie and not is_valid_cookie(listening.cookie_secret, hello, self._now):
            self._request_cookie(make_cookie(listening.cookie_secret, hello, self._now))
            return Step.STAY
        selected = self._select(hello)
        if isinstance(selected, Refusal):
            return selected
        self._transcript.append(message)
        self._answer(hello, selected)
        return Step.ADVANCE

    def _request_cookie(self, cookie: bytes) -> None:
        body = encode_hello_verify_request(HelloVerifyRequest(_COOKIE_REQUEST_VERSION, cookie))
        self.flight = (self._write(HandshakeType.HELLO_VERIFY_REQUEST, body),)
        self._transcript.restart()

    def _select(self, hello: ClientHello) -> _Selected | Refusal:
        """Choose by our own order of preference. What is not known here is passed over (RFC 8701)."""
        party = self._party
        configuration = party.configuration
        extensions = hello.extensions
        if NULL_COMPRESSION not in hello.compression_methods:
            return _no_common("compression method")
        refusal = _check_required(hello)
        if refusal is not None:
            return refusal
        cipher_suite = next((suite for suite in suites_for_key(party) if suite in hello.cipher_suites), None)
        if cipher_suite is None:
            return _no_common("cipher suite that fits our certificate")
        offered_groups = extensions.get(ExtensionType.SUPPORTED_GROUPS)
        groups: tuple[int, ...] = (NamedGroup.SECP256R1,)  # what every client knows that names none
        if offered_groups is not None:
            groups = decode_integer_list(offered_groups, 2, 2)
        group = next((group for group in configuration.groups if group in groups), None)
        if group is None:
            return _no_common("group")
        # RFC 8422 section 5.1.1 would also look for the curve of our certificate among the groups. It is asked for by
        # signature_algorithms alone, as RFC 8446 section 4.2.7 has it, which no client of today contradicts.
        offered_schemes = extensions.get(ExtensionType.SIGNATURE_ALGORITHMS)
        # RFC 5246 section 7.4.1.4.1: a client without it takes SHA-1 only.
        schemes = () if offered_schemes is None else decode_integer_list(offered_schemes, 2, 2)
        scheme = next((scheme for scheme in signing_schemes(party.certificate.private_key) if scheme in schemes), None)
        if scheme is None:
            return _no_common("signature scheme that fits our certificate")
        use_srtp = extensions.get(ExtensionType.USE_SRTP)
        srtp_profile = None
        if use_srtp is not None:
            profiles, _ = decode_use_srtp(use_srtp)
            srtp_profile = next((profile for profile in configuration.srtp_profiles if profile in profiles), None)
        return _Selected(
            client_random=hello.random,
            server_random=party.random_bytes(RANDOM_SIZE),
            cipher_suite=cipher_suite,
            group=group,
            scheme=scheme,
            srtp_profile=srtp_profile,
        )

    def _answer(self, hello: ClientHello, selected: _Selected) -> None:
        party = self._party
        extensions: Extensions = {
            ExtensionType.EXTENDED_MASTER_SECRET: b"",
            ExtensionType.RENEGOTIATION_INFO: EMPTY_RENEGOTIATION_INFO,
        }
        if ExtensionType.EC_POINT_FORMATS in hello.extensions:
            extensions[ExtensionType.EC_POINT_FORMATS] = encode_integers((UNCOMPRESSED_POINT_FORMAT,), 1, 1)
        if selected.srtp_profile is not None:
            extensions[ExtensionType.USE_SRTP] = encode_use_srtp((selected.srtp_profile,))
        server_hello = ServerHello(
            Version.DTLS_1_2, selected.server_random, b"", selected.cipher_suite, NULL_COMPRESSION, extensions
        )
        share = generate_key_share(selected.group, party.random_bytes)
        params = encode_server_ecdh_params(selected.group, share.public_key)
        signature = sign(
            party.certificate.private_key,
            selected.scheme,
            selected.client_random + selected.server_random + params,
        )
        key_exchange = ServerKeyExchange(selected.group, share.public_key, selected.scheme, signature)
        request = CertificateRequest(CLIENT_CERTIFICATE_TYPES, OFFERED_SCHEMES)
        self.flight = (
            self._write(HandshakeType.SERVER_HELLO, encode_server_hello(server_hello)),
            self._write(HandshakeType.CERTIFICATE, encode_certificate((party.certificate.der,))),
            self._write(HandshakeType.SERVER_KEY_EXCHANGE, encode_server_key_exchange(key_exchange)),
            self._write(HandshakeType.CERTIFICATE_REQUEST, encode_certificate_request(request)),
            self._write(HandshakeType.SERVER_HELLO_DONE, b""),
        )
        self._phase = _Answered(selected, share)

    def _on_certificate(self, message: Message) -> Result:
        answered = self._phase
        assert isinstance(answered, _Answered)
        peer = identify_peer(self._party, message.body)
        if isinstance(peer, Refusal):
            return peer
        self._transcript.append(message)
        self._phase = _Identified(answered, peer)
        return Step.ADVANCE

    def _on_client_key_exchange(self, message: Message) -> Result:
        identified = self._phase
        assert isinstance(identified, _Identified)
        selected = identified.answered.selected
        premaster_secret = exchange(identified.answered.share, decode_client_key_exchange(message.body))
        if premaster_secret is None:
            return Refusal(
                AlertDescription.ILLEGAL_PARAMETER,
                Reason.PROTOCOL_VIOLATION,
                f"the client's public key is not one of {selected.group.name}",
            )
        self._transcript.append(message)
        protection = protect(
            self._party,
            selected.cipher_suite,
            premaster_secret,
            self._transcript,
            selected.client_random,
            selected.server_random,
        )
        self._phase = _Keyed(identified, protection)
        return Step.ADVANCE

    def _on_certificate_verify(self, message: Message) -> Result:
        """RFC 5246 section 7.4.8: the signature covers all messages before it."""
        keyed = self._phase
        assert isinstance(keyed, _Keyed)
        peer = keyed.identified.peer
        proof = decode_certificate_verify(message.body)
        signed = self._transcript.encode()
        if proof.scheme not in OFFERED_SCHEMES or not verify(peer.public_key, proof.scheme, proof.signature, signed):
            return Refusal(
                AlertDescription.DECRYPT_ERROR,
                Reason.PROTOCOL_VIOLATION,
                "the client did not prove that it holds the key of its certificate",
            )
        self._transcript.append(message)
        selected = keyed.identified.answered.selected
        self.protection = keyed.protection
        session = Session(
            version=Version.DTLS_1_2,
            cipher_suite=selected.cipher_suite,
            group=selected.group,
            srtp_profile=selected.srtp_profile,
            peer_certificate=peer.certificate,
        )
        self._phase = _Proved(keyed.protection, session)
        return Step.ADVANCE

    def _on_finished(self, message: Message) -> Result:
        proved = self._phase
        assert isinstance(proved, _Proved)
        result = check_finished(proved.protection, self._transcript, message.body, by_client=True)
        if result is not Step.ADVANCE:
            return result
        self._transcript.append(message)
        verify_data = compute_verify_data(proved.protection.secrets, self._transcript, by_client=False)
        finished = self._write(HandshakeType.FINISHED, verify_data, PROTECTED_EPOCH)
        self._transcript.restart()
        self.flight = (FlightItem(0, None), finished)
        self.session = proved.session
        return Step.ADVANCE


def _no_common(what: str, alert: AlertDescription = AlertDescription.HANDSHAKE_FAILURE) -> Refusal:
    return Refusal(alert, Reason.HANDSHAKE_REFUSED, f"the client offers no {what} of ours")


def _check_required(hello: ClientHello) -> Refusal | None:
    """Both extensions that protect against being spliced into another session are demanded."""
    extensions = hello.extensions
    if ExtensionType.EXTENDED_MASTER_SECRET not in extensions:  # RFC 7627 section 5.2
        return _no_common("extended_master_secret, and it must")
    # RFC 5746 section 3.6: a cipher suite may stand for the extension.
    if ExtensionType.RENEGOTIATION_INFO not in extensions and EMPTY_RENEGOTIATION_INFO_SCSV not in hello.cipher_suites:
        return _no_common("renegotiation_info, and it must")
    return check_extensions(extensions)
