"""Connections without signaling, to a server whose address and certificate are known (after libp2p's WebRTC-Direct).

The client writes the server's answer itself. The credentials that it chooses for the server tell the server, which
reads them in the first check, the rest of the client's offer:

    ufrag and password of the server = "xp2p+direct+v1/", SHA-256 of the client's certificate, the client's password

ICE characters are those of base64, so that the digest is 43 of them. The client's own credentials and certificate are
any, so that an unmodified browser can do this as well.

Each side enforces the other's fingerprint as ever: the client that of the address it was given, the server the one that
the client named. Whoever connects is thereby a certificate, which the program may or may not know. The credentials are
no secret: they protect from those who see nothing of the path, and DTLS from everybody.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from typing import Final

import attrs

from xp2p_trio import dtls, ice
from xp2p_trio.errors import InvalidArgument
from xp2p_trio.peer.descriptions import SessionDescription
from xp2p_trio.sansio import Address, canonical_address
from xp2p_trio.sdp import (
    Candidate,
    CandidateType,
    DataDescription,
    FingerprintAttribute,
    Setup,
    answer_session,
    data_description,
    decode_session,
    encode_session,
    offer_session,
)

DIRECT_PREFIX: Final = "xp2p+direct+v1/"
"""What a username fragment of such a connection begins with."""

_FRAGMENT: Final = re.compile(re.escape(DIRECT_PREFIX) + r"([A-Za-z0-9+/]{43})([A-Za-z0-9+/]{22,198})")
_SESSION_ID: Final = 1  # of descriptions that nobody sends


def _fingerprints(value: dtls.Fingerprint | Iterable[dtls.Fingerprint]) -> tuple[dtls.Fingerprint, ...]:
    fingerprints = (value,) if isinstance(value, dtls.Fingerprint) else tuple(value)
    if not any(fingerprint.is_usable for fingerprint in fingerprints):
        raise InvalidArgument("a peer without a usable fingerprint (sha-256 or better) cannot be told from another")
    return fingerprints


@attrs.frozen(kw_only=True)
class DirectPeer:
    """What a program must know of a peer that asked for a connection without signaling.

    Attributes:
        local_password: ours, with which the peer signs its checks.
        remote_password: the peer's.
        fingerprints: of the peer's certificate, one or several; it is refused if it has none of them.
        max_message_size: bytes of the largest message that the peer takes; 0 for any.
    """

    local_password: str = attrs.field(repr=False)
    remote_password: str = attrs.field(repr=False)
    fingerprints: tuple[dtls.Fingerprint, ...] = attrs.field(converter=_fingerprints)
    max_message_size: int = 262144


def accept_direct(unknown: ice.UnknownPeer) -> DirectPeer | None:
    """Read who asks for a connection in the way of this module; None if it is another one."""
    parts = _FRAGMENT.fullmatch(unknown.local_username_fragment)
    if parts is None:
        return None
    digest = base64.b64decode(parts[1] + "=")
    return DirectPeer(
        local_password=unknown.local_username_fragment,
        remote_password=parts[2],
        fingerprints=dtls.Fingerprint("sha-256", digest),
    )


def direct_offer(unknown: ice.UnknownPeer, peer: DirectPeer) -> SessionDescription:
    """The offer that an unknown peer would have sent, for the server to answer.

    Raises:
        InvalidArgument: the peer's password is none.
    """
    client = DataDescription(
        username_fragment=unknown.remote_username_fragment,
        password=peer.remote_password,
        fingerprints=tuple(FingerprintAttribute(each.algorithm, each.value) for each in peer.fingerprints),
        setup=Setup.ACTIVE,
        max_message_size=peer.max_message_size,
        end_of_candidates=True,  # where it is, its checks tell
    )
    session = offer_session(client, session_id=_SESSION_ID, session_version=1)
    return SessionDescription("offer", encode_session(session))


def direct_answer(offer: SessionDescription, address: Address, fingerprint: dtls.Fingerprint) -> SessionDescription:
    """The answer that a server would send, for the client to set.

    Args:
        offer: the client's own, whose fingerprint is of sha-256.
        address: where the server is.
        fingerprint: of the server's certificate.

    Raises:
        InvalidArgument: the address is not numeric, the fingerprint is too weak, or the offer has none of sha-256.
        SdpError: the offer is none for data channels.
    """
    server = canonical_address(address)
    if server is None:
        raise InvalidArgument(f"{address!r} is no IP address with a port from 1 to 65535; resolve it first")
    session = decode_session(offer.sdp)
    client = data_description(session)
    digest = next((each.value for each in client.fingerprints if each.algorithm == "sha-256"), None)
    if digest is None:
        raise InvalidArgument("the offer has no fingerprint of sha-256")
    credential = DIRECT_PREFIX + base64.b64encode(digest).decode("ascii").rstrip("=") + client.password
    if not _FRAGMENT.fullmatch(credential):
        raise InvalidArgument("the password of the offer is longer than 198 characters")
    candidate = Candidate(
        foundation="1",
        component=1,
        transport="udp",
        priority=ice.candidate_priority(CandidateType.HOST, 65535),
        host=server[0],
        port=server[1],
        type=CandidateType.HOST,
    )
    description = DataDescription(
        username_fragment=credential,
        password=credential,
        fingerprints=(FingerprintAttribute(fingerprint.algorithm, fingerprint.value),),
        setup=Setup.PASSIVE,
        candidates=(candidate,),
        end_of_candidates=True,
    )
    answer = answer_session(session, description, session_id=_SESSION_ID, session_version=1)
    return SessionDescription("answer", encode_session(answer))
