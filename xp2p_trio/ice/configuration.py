"""What a program may choose about an agent, and the numbers that it may not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

import attrs

from xp2p_trio.errors import InvalidArgument
from xp2p_trio.sansio import AddressFilter, canonical_host, is_ipv6

CONSENT_INTERVAL: Final = 5.0
"""Seconds between consent checks, before the randomisation by a fifth (RFC 7675 section 5.1)."""

CONSENT_EXPIRY: Final = 30.0
"""Seconds after the last answer at which consent is gone (RFC 7675 section 5.1)."""

MIN_PACING: Final = 0.005
"""Seconds: no two transactions may start closer than this (RFC 8445 section 14.2)."""

_ICE_CHARS: Final = re.compile(r"[A-Za-z0-9+/]*")


def check_credentials(username_fragment: str, password: str) -> None:
    """Refuse what RFC 8839 section 5.4 does not allow.

    Raises:
        InvalidArgument: a length or a character is out of range. The password is not quoted.
    """
    if not 4 <= len(username_fragment) <= 256 or not _ICE_CHARS.fullmatch(username_fragment):
        raise InvalidArgument(
            f"username fragment {username_fragment[:32]!r} is not 4 to 256 of the characters A-Z a-z 0-9 + /"
        )
    if not 22 <= len(password) <= 256 or not _ICE_CHARS.fullmatch(password):
        raise InvalidArgument("the password is not 22 to 256 of the characters A-Z a-z 0-9 + /")


def _public_addresses(value: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType(dict(_public_address(local, public) for local, public in value.items()))


def _public_address(local: str, public: str) -> tuple[str, str]:
    inside, outside = canonical_host(local), canonical_host(public)
    if inside is None or outside is None:
        wrong = local if inside is None else public
        raise InvalidArgument(f"public_addresses has {wrong!r}, which is no IP address; write {{local: public}}")
    if is_ipv6(inside) != is_ipv6(outside):
        raise InvalidArgument(f"public_addresses says {public!r} for {local!r}; both are of one family, IPv4 or IPv6")
    return inside, outside


@attrs.frozen(kw_only=True)
class Configuration:
    """The choices of one agent. Times are seconds.

    Attributes:
        username_fragment: ours, 4 to 256 ICE characters; None draws one. Goes with `password`.
        password: ours, 22 to 256 ICE characters; None draws one.
        nomination: "regular" by RFC 8445 section 8.1.1, or "aggressive" by RFC 5245 section 8.1.1.2.
        carries: "dtls" lets in what DTLS may start with alone (RFC 7983); "any" every datagram whose first byte is 4 or
            more, so that it is no STUN.
        lite: answer checks and make none (RFC 8445 section 2.5): for servers with a public address. The peer's checks
            stand for its consent.
        tcp: whether TCP candidates are offered and used (RFC 6544); with nomination "regular" only.
        public_addresses: for a machine behind a 1:1 NAT (a port forwarded, a cloud's elastic address) what peers reach
            each of its local IP addresses by.
        remote_filter: which IP addresses of the peer are tried; every one by default.
        nomination_wait: how long after the first valid pair a better one that is still in progress is awaited.
        relay_wait: the same while the best one goes by way of our TURN server, or over TCP.
        check_pacing: Ta (RFC 8445 section 14.2). Both sides must know another value than 0.05.
        check_timeout: how long checks go on without a valid pair once the candidates of both sides have ended.
        patience: how long they go on at most, so that late candidates are not missed (RFC 8863 section 4).
        gathering_timeout: how long a server may keep gathering from being complete.
        disconnected_timeout: how long a consent check stays unanswered before the path counts as lost. 7 s are a second
            more than the longest interval of consent checks, so that a single lost datagram is no lost path.
        allow_loopback: whether remote candidates may be loopback addresses.
        allow_link_local: whether remote candidates may be link-local addresses.
        max_local_candidates: how many candidates of our own there are at most.
        max_remote_candidates: how many of the peer's are kept at most.
        max_peer_reflexive_candidates: how many of the peer's are learned from its checks at most.
        max_pairs: the limit that RFC 8445 section 6.1.2.5 demands against amplification (its default is 100).
    """

    username_fragment: str | None = None
    password: str | None = attrs.field(default=None, repr=False)
    nomination: Literal["regular", "aggressive"] = "regular"
    carries: Literal["dtls", "any"] = "dtls"
    lite: bool = False
    tcp: bool = False
    public_addresses: Mapping[str, str] = attrs.field(factory=dict, converter=_public_addresses, hash=False)
    remote_filter: AddressFilter = attrs.field(factory=AddressFilter)
    nomination_wait: float = 0.5
    relay_wait: float = 1.0
    check_pacing: float = 0.05
    check_timeout: float = 10.0
    patience: float = 39.5
    gathering_timeout: float = 5.0
    disconnected_timeout: float = 7.0
    allow_loopback: bool = True
    allow_link_local: bool = True
    max_local_candidates: int = 32
    max_remote_candidates: int = 100
    max_peer_reflexive_candidates: int = 32
    max_pairs: int = 128

    def __attrs_post_init__(self) -> None:
        """Refuse what cannot work."""
        if (self.username_fragment is None) != (self.password is None):
            raise InvalidArgument("username_fragment and password are given together, or neither")
        if self.username_fragment is not None and self.password is not None:
            check_credentials(self.username_fragment, self.password)
        if self.nomination not in ("regular", "aggressive"):
            raise InvalidArgument(f'nomination {self.nomination!r} is neither "regular" nor "aggressive"')
        if self.carries not in ("dtls", "any"):
            raise InvalidArgument(f'carries is {self.carries!r}, neither "dtls" nor "any"')
        if not isinstance(self.remote_filter, AddressFilter):
            raise InvalidArgument(f"remote_filter is {self.remote_filter!r}; it must be an AddressFilter")
        if not self.check_pacing >= MIN_PACING:
            raise InvalidArgument(f"check_pacing {self.check_pacing} is less than {MIN_PACING} (RFC 8445 section 14.2)")
        if self.lite and self.tcp:
            raise InvalidArgument(
                "lite has host candidates of UDP alone; tcp does not go with it (RFC 8445 section 5.1)"
            )
        if self.tcp and self.nomination == "aggressive":
            raise InvalidArgument('tcp goes with nomination="regular" only (RFC 6544 section 8)')
        for name in (
            "nomination_wait",
            "relay_wait",
            "check_timeout",
            "patience",
            "gathering_timeout",
            "disconnected_timeout",
        ):
            if not getattr(self, name) >= 0:
                raise InvalidArgument(f"{name} is {getattr(self, name)}; it is a number of seconds, 0 or more")
        for name in (
            "max_local_candidates",
            "max_remote_candidates",
            "max_peer_reflexive_candidates",
            "max_pairs",
        ):
            if getattr(self, name) < 1:
                raise InvalidArgument(f"{name} is {getattr(self, name)}; it is at least 1")
