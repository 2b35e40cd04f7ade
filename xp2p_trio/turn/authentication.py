"""The long-term credential mechanism (RFC 8489 section 9.2) as the client sees it."""

from __future__ import annotations

import base64
import binascii
import enum
from typing import Final, final

import attrs

from xp2p_trio.stun import (
    Attribute,
    IntegrityAlgorithm,
    Message,
    Nonce,
    PasswordAlgorithm,
    PasswordAlgorithmNumber,
    PasswordAlgorithms,
    Realm,
    UserHash,
    Username,
    encode_message,
    long_term_key,
    opaque_string,
    user_hash,
    verify_integrity,
)
from xp2p_trio.turn.configuration import Credentials

_NONCE_COOKIE: Final = "obMatJos2"  # RFC 8489 section 9.2
_PASSWORD_ALGORITHMS: Final = 0x800000  # bit 0 of 24 (RFC 8489 section 18.1)
_USERNAME_ANONYMITY: Final = 0x400000  # bit 1


class Challenge(enum.Enum):
    """What a 401 or 438 comes to."""

    RETRY = "there is a new realm or nonce to retry with"
    WRONG_CREDENTIALS = "the server does not take the username or the password"
    OTHER_REALM = "the server that it was redirected to belongs to another realm"
    BID_DOWN = "the list of password algorithms is missing although the nonce announces it"
    NO_ALGORITHM = "the server knows no password algorithm that we know"
    MALFORMED = "the challenge has no realm or no nonce"


@attrs.frozen
class Session:
    """What requests are signed with, and responses verified.

    Attributes:
        credentials: that the key was made of.
        realm: of the server.
        nonce: of the server's last challenge.
        offered: the server's PASSWORD-ALGORITHMS; None for a server of RFC 5389.
        algorithm: which of them makes the key.
        is_anonymous: whether USERHASH takes the place of USERNAME.
        key: of the integrity.
    """

    credentials: Credentials
    realm: str
    nonce: str
    offered: PasswordAlgorithms | None
    algorithm: PasswordAlgorithmNumber
    is_anonymous: bool
    key: bytes = attrs.field(repr=False)

    @property
    def integrity(self) -> IntegrityAlgorithm:
        """RFC 8489 section 9.2.5: once algorithms were offered, MESSAGE-INTEGRITY-SHA256 only."""
        return IntegrityAlgorithm.SHA1 if self.offered is None else IntegrityAlgorithm.SHA256

    def sign(self, request: Message) -> bytes:
        """The datagram of a request with the attributes of RFC 8489 section 9.2.3.2."""
        username = self.credentials.username
        extra: list[Attribute] = [
            UserHash(user_hash(username, self.realm)) if self.is_anonymous else Username(opaque_string(username)),
            Realm(self.realm),
            Nonce(self.nonce),
        ]
        if self.offered is not None:
            extra += [self.offered, PasswordAlgorithm(self.algorithm)]
        signed = attrs.evolve(request, attributes=(*request.attributes, *extra))
        # With FINGERPRINT a damaged request is dropped; without, it would be taken for one with wrong credentials.
        return encode_message(signed, key=self.key, algorithm=self.integrity, fingerprint=True)

    def verifies(self, response: Message) -> bool:
        """Whether a response carries integrity of the right kind, made with our key."""
        found = verify_integrity(response, self.key)
        return found is not None and (self.offered is None or found is IntegrityAlgorithm.SHA256)


@final
class Authentication:
    """Answers challenges.

    Attributes:
        credentials: what answers the next one.
        session: the outcome of the last one, None before.
        only_realm: the realm that the credentials are confined to, None before it is known.
    """

    def __init__(self, credentials: Credentials, only_realm: str | None = None) -> None:
        self.credentials = credentials
        self.session: Session | None = None
        self.only_realm = only_realm

    def forget(self) -> None:
        """Start over at another server, with the credentials confined to the realm that is known."""
        if self.session is not None:
            self.only_realm = self.session.realm
        self.session = None

    def challenge(self, code: int, response: Message, used: Session | None) -> Challenge:
        """Take a 401 or 438 in answer to a request that was signed with `used`.

        Anything but `RETRY` changes nothing.
        """
        realm_attribute, nonce_attribute = response.get(Realm), response.get(Nonce)
        if realm_attribute is not None:
            realm = realm_attribute.text
        elif used is not None:
            realm = used.realm
        else:
            return Challenge.MALFORMED
        if nonce_attribute is None:
            return Challenge.MALFORMED
        nonce = nonce_attribute.text
        features = _features(nonce)
        offered = response.get(PasswordAlgorithms)
        # RFC 8489 sections 9.2.1 and 9.2.5. That a server which offered algorithms stops doing so is no better.
        if offered is None and (features & _PASSWORD_ALGORITHMS or (used is not None and used.offered is not None)):
            return Challenge.BID_DOWN
        algorithm = _choose(offered)
        if algorithm is None:
            return Challenge.NO_ALGORITHM
        if self.only_realm is not None and realm != self.only_realm:
            return Challenge.OTHER_REALM
        if code == 401 and used is not None and used.realm == realm and used.credentials == self.credentials:
            return Challenge.WRONG_CREDENTIALS
        username, password = self.credentials.username, self.credentials.password
        self.session = Session(
            self.credentials,
            realm,
            nonce,
            offered,
            algorithm,
            bool(features & _USERNAME_ANONYMITY),
            long_term_key(opaque_string(username), realm, password, algorithm),
        )
        return Challenge.RETRY

    def replace(self, credentials: Credentials) -> None:
        """Sign with other credentials from now on, under the realm and the nonce that are known."""
        self.credentials = credentials
        if self.session is not None:
            key = long_term_key(
                opaque_string(credentials.username), self.session.realm, credentials.password, self.session.algorithm
            )
            self.session = attrs.evolve(self.session, credentials=credentials, key=key)


def _features(nonce: str) -> int:
    """The 24 security feature bits of a nonce cookie, 0 where there is none."""
    size = len(_NONCE_COOKIE)
    if not nonce.startswith(_NONCE_COOKIE):
        return 0
    try:
        return int.from_bytes(base64.b64decode(nonce[size : size + 4], validate=True), "big")
    except (binascii.Error, ValueError):
        return 0


def _choose(offered: PasswordAlgorithms | None) -> PasswordAlgorithmNumber | None:
    if offered is None:
        return PasswordAlgorithmNumber.MD5
    numbers = {number for number, _ in offered.algorithms}
    # RFC 8656 section 6: SHA-256 where both sides know it, whatever the server prefers.
    for known in (PasswordAlgorithmNumber.SHA256, PasswordAlgorithmNumber.MD5):
        if known in numbers:
            return known
    return None
