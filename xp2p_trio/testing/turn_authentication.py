"""The long-term credential mechanism (RFC 8489 section 9.2.4) as a simulated server sees it."""

from __future__ import annotations

import base64
import hmac
import math
from typing import final

import attrs

from xp2p_trio.sansio import Address, RandomBytes
from xp2p_trio.stun import (
    Attribute,
    IntegrityAlgorithm,
    Message,
    MessageIntegrity,
    MessageIntegritySha256,
    Nonce,
    PasswordAlgorithm,
    PasswordAlgorithmNumber,
    PasswordAlgorithms,
    Realm,
    UserHash,
    Username,
    long_term_key,
    opaque_string,
    user_hash,
    verify_integrity,
)
from xp2p_trio.testing.turn_configuration import TurnServerConfiguration

MAX_HOSTS_ANSWERED = 1024
"""Hosts that have answers within one second without proving who they are."""

_OFFER = PasswordAlgorithms(((PasswordAlgorithmNumber.MD5, b""), (PasswordAlgorithmNumber.SHA256, b"")))


@attrs.frozen
class Authenticated:
    """Who sent a request, and what the response is protected with; no key where nobody has to prove anything."""

    username: str
    key: bytes | None = attrs.field(repr=False)
    integrity: IntegrityAlgorithm


@attrs.frozen
class Rejected:
    """The error response that a request gets."""

    code: int
    reason: str
    attributes: tuple[Attribute, ...] = ()


@final
class ChallengeLimit:
    """Counts, second by second, what hosts are answered that have not proved who they are.

    A request over UDP may bear somebody else's address, and its answer is larger. Memory is bounded as well.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._second = -math.inf
        self._answered: dict[str, int] = {}

    def admits(self, host: str, now: float) -> bool:
        """Whether this host may have one more answer, which is counted."""
        if now >= self._second + 1:
            self._second = now
            self._answered.clear()
        count = self._answered.get(host, 0)
        if count >= self._rate or (not count and len(self._answered) >= MAX_HOSTS_ANSWERED):
            return False
        self._answered[host] = count + 1
        return True


@final
class Gatekeeper:
    """Checks requests. It keeps nothing: a nonce says itself when and for whom it was made."""

    def __init__(self, configuration: TurnServerConfiguration, random_bytes: RandomBytes) -> None:
        self._configuration = configuration
        self._secret = random_bytes(16)
        self.users = None if configuration.users is None else dict(configuration.users)

    def check(self, request: Message, client: Address, now: float, *, always_stale: bool) -> Authenticated | Rejected:
        """The five steps of RFC 8489 section 9.2.4, in their order."""
        if self.users is None:
            return Authenticated("", None, IntegrityAlgorithm.SHA1)
        if request.get(MessageIntegrity) is None and request.get(MessageIntegritySha256) is None:
            return self._challenge(401, "Unauthenticated", client, now)
        username, hashed = request.get(Username), request.get(UserHash)
        realm, nonce = request.get(Realm), request.get(Nonce)
        if (username is None and hashed is None) or realm is None or nonce is None:
            return Rejected(400, "Bad Request")
        algorithm = self._algorithm(request)
        if algorithm is None:
            return Rejected(400, "Bad Request")
        name = self._find(username, hashed)
        if name is None or realm.text != self._configuration.realm:
            return self._challenge(401, "Unauthenticated", client, now)
        key = long_term_key(opaque_string(name), realm.text, self.users[name], algorithm)
        if verify_integrity(request, key) is None:
            return self._challenge(401, "Unauthenticated", client, now)
        if always_stale or not self._is_fresh(nonce.text, client, now):
            return self._challenge(438, "Stale Nonce", client, now)
        used_list = request.get(PasswordAlgorithm) is not None
        return Authenticated(name, key, IntegrityAlgorithm.SHA256 if used_list else IntegrityAlgorithm.SHA1)

    def _algorithm(self, request: Message) -> PasswordAlgorithmNumber | None:
        chosen, offered = request.get(PasswordAlgorithm), request.get(PasswordAlgorithms)
        if not self._configuration.offers_sha256 or (chosen is None and offered is None):
            return PasswordAlgorithmNumber.MD5
        if chosen is None or offered != _OFFER or (chosen.algorithm, chosen.parameters) not in _OFFER.algorithms:
            return None
        return PasswordAlgorithmNumber(chosen.algorithm)

    def _find(self, username: Username | None, hashed: UserHash | None) -> str | None:
        for name in self.users or {}:
            if username is not None and opaque_string(name) == username.text:
                return name
            if hashed is not None and hmac.compare_digest(user_hash(name, self._configuration.realm), hashed.digest):
                return name
        return None

    def _challenge(self, code: int, reason: str, client: Address, now: float) -> Rejected:
        attributes: list[Attribute] = [Realm(self._configuration.realm), Nonce(self._nonce(client, now))]
        if self._configuration.offers_sha256:
            attributes.append(_OFFER)
        return Rejected(code, reason, tuple(attributes))

    def _cookie(self) -> str:
        if not self._configuration.offers_sha256:
            return ""
        features = 0xC0 if self._configuration.is_anonymous else 0x80
        return "obMatJos2" + base64.b64encode(bytes([features, 0, 0])).decode()

    def _nonce(self, client: Address, issued: float) -> str:
        stamp = issued.hex()
        mark = hmac.digest(self._secret, f"{client}{stamp}".encode(), "sha256").hex()[:16]
        return f"{self._cookie()}{mark}{stamp}"

    def _is_fresh(self, nonce: str, client: Address, now: float) -> bool:
        try:
            issued = float.fromhex(nonce[len(self._cookie()) + 16 :])
        except (ValueError, OverflowError):
            return False
        if not hmac.compare_digest(self._nonce(client, issued).encode(), nonce.encode()):
            return False
        return now - issued < self._configuration.nonce_lifetime
