"""Building and verifying the Binding messages of ICE (RFC 8445 sections 7.1, 7.2.2 and 7.3)."""

from __future__ import annotations

import hmac
from typing import TypeAlias, final

import attrs

from xp2p_trio.ice.pair import Pair
from xp2p_trio.ice.state import Role
from xp2p_trio.sansio import Address
from xp2p_trio.stun import (
    Attribute,
    ErrorCode,
    Fingerprint,
    IceControlled,
    IceControlling,
    IntegrityAlgorithm,
    Message,
    MessageClass,
    MessageIntegrity,
    MessageIntegritySha256,
    Method,
    Opaque,
    Priority,
    Transaction,
    UnknownAttributes,
    UseCandidate,
    Username,
    XorMappedAddress,
    encode_message,
    short_term_key,
    verify_integrity,
)

Rejection: TypeAlias = ErrorCode
"""Why a request is not accepted."""

BAD_REQUEST = ErrorCode(400, "Bad Request")
UNAUTHENTICATED = ErrorCode(401, "Unauthenticated")
UNKNOWN_ATTRIBUTE = ErrorCode(420, "Unknown Attribute")
ROLE_CONFLICT = ErrorCode(487, "Role Conflict")


_NOMINATION = 0xC001
"""NOMINATION, 32 bits (draft-thatcher-ice-renomination section 5; not registered, so that others may use it too)."""


@attrs.frozen
class Credentials:
    """A username fragment and the key of its password (RFC 8489 section 9.1.1)."""

    username_fragment: str
    password: str = attrs.field(repr=False)
    key: bytes = attrs.field(repr=False, eq=False, init=False)

    @key.default
    def _derive_key(self) -> bytes:
        return short_term_key(self.password)


@final
class Check:
    """A connectivity or consent check on its way.

    Attributes:
        transaction: its request and timers.
        pair: the pair that it checks.
        role: ours when it was built.
        tie_breaker: ours when it was built.
        priority: its PRIORITY, which a peer-reflexive candidate found by it will have.
        nomination: the number of the nomination that it makes, or 0.
        is_consent: whether it only keeps consent fresh.
        is_cancelled: whether another check of the pair has taken its place (RFC 8445 section 7.3.1.4).
    """

    __slots__ = (
        "is_cancelled",
        "is_consent",
        "nomination",
        "pair",
        "priority",
        "role",
        "tie_breaker",
        "transaction",
    )

    def __init__(
        self,
        transaction: Transaction,
        pair: Pair,
        role: Role,
        tie_breaker: int,
        priority: int,
        *,
        nomination: int,
        is_consent: bool,
    ) -> None:
        self.transaction = transaction
        self.pair = pair
        self.role = role
        self.tie_breaker = tie_breaker
        self.priority = priority
        self.nomination = nomination
        self.is_consent = is_consent
        self.is_cancelled = False


def build_request(
    transaction_id: bytes,
    local: Credentials,
    remote: Credentials,
    role: Role,
    tie_breaker: int,
    priority: int,
    *,
    nomination: int,
    renominates: bool,
) -> bytes:
    """A check (RFC 8445 sections 7.1 and 7.2.2); with a nomination's number where the peer understands it."""
    attributes: list[Attribute] = [Username(f"{remote.username_fragment}:{local.username_fragment}")]
    attributes.append(IceControlling(tie_breaker) if role is Role.CONTROLLING else IceControlled(tie_breaker))
    attributes.append(Priority(priority))
    if nomination:
        attributes.append(UseCandidate())
        if renominates:
            attributes.append(Opaque(_NOMINATION, nomination.to_bytes(4, "big")))
    message = Message(MessageClass.REQUEST, Method.BINDING, transaction_id, tuple(attributes))
    return encode_message(message, key=remote.key, fingerprint=True)


def build_success(request: Message, source: Address, local: Credentials, algorithm: IntegrityAlgorithm) -> bytes:
    """The answer that tells the peer its address (RFC 8445 section 7.3.1.2)."""
    message = Message(
        MessageClass.SUCCESS_RESPONSE, request.method, request.transaction_id, (XorMappedAddress(source),)
    )
    return encode_message(message, key=local.key, algorithm=algorithm, fingerprint=True)


def build_error(
    request: Message,
    rejection: Rejection,
    local: Credentials | None,
    algorithm: IntegrityAlgorithm = IntegrityAlgorithm.SHA1,
) -> bytes:
    """An error response; without credentials when the request was not authenticated (RFC 8489 section 9.1.3)."""
    attributes: tuple[Attribute, ...] = (rejection,)
    if rejection is UNKNOWN_ATTRIBUTE:
        attributes += (UnknownAttributes(request.unknown_required[:16]),)
    message = Message(MessageClass.ERROR_RESPONSE, request.method, request.transaction_id, attributes)
    return encode_message(message, key=None if local is None else local.key, algorithm=algorithm, fingerprint=True)


def authenticate_request(
    request: Message, local: Credentials, remote: Credentials | None
) -> IntegrityAlgorithm | Rejection:
    """Decide on a request before anything else looks at it (RFC 8489 section 9.1.3, RFC 8445 section 7.3).

    Returns:
        The algorithm to protect the answer with, or why there is none.
    """
    username = request.get(Username)
    if username is None or (request.get(MessageIntegrity) is None and request.get(MessageIntegritySha256) is None):
        return BAD_REQUEST
    ours, colon, theirs = username.text.partition(":")
    if not colon or ":" in theirs or not hmac.compare_digest(ours.encode(), local.username_fragment.encode()):
        return UNAUTHENTICATED
    if remote is not None and not hmac.compare_digest(theirs.encode(), remote.username_fragment.encode()):
        return UNAUTHENTICATED
    return verify_integrity(request, local.key) or UNAUTHENTICATED


def is_authentic_response(response: Message, remote: Credentials) -> bool:
    """Whether the answer has a fingerprint, the integrity that we asked with, and nothing unknown.

    Another algorithm than the request's does not count (RFC 8489 section 9.1.4).
    """
    return (
        response.get(Fingerprint) is not None
        and not response.unknown_required
        and verify_integrity(response, remote.key) is IntegrityAlgorithm.SHA1
    )


def nomination_of(request: Message) -> int:
    """The number of the nomination that a check makes: 1 where it has none, 0 when it makes none."""
    if request.get(UseCandidate) is None:
        return 0
    for attribute in request.attributes:
        if isinstance(attribute, Opaque) and attribute.type == _NOMINATION and len(attribute.value) == 4:
            return max(1, int.from_bytes(attribute.value, "big"))
    return 1


def username_of_ours(request: Message) -> str:
    """The part before the colon: the username fragment of ours that it is for; empty when there is none."""
    username = request.get(Username)
    return "" if username is None else username.text.partition(":")[0]


def username_of_peer(request: Message) -> str:
    """The part behind the colon: the username fragment of the sender (RFC 8445 section 7.3.1.4)."""
    username = request.get(Username)
    return "" if username is None else username.text.partition(":")[2]
