"""What a simulated TURN server does, and what it does wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import attrs

from xp2p_trio.errors import InvalidArgument
from xp2p_trio.sansio import Address
from xp2p_trio.stun import Method
from xp2p_trio.testing.host import canonical

_DYNAMIC_PORTS = (49152, 65535)  # RFC 8656 section 7.2


def _hosts(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(map(canonical, values))


@attrs.frozen(kw_only=True)
class TurnServerConfiguration:
    """The choices of one server. Times are seconds.

    Attributes:
        relay_hosts: where relayed addresses are made: the first of each address family.
        ports: the first and the last port of relayed addresses.
        realm: for long-term credentials.
        users: passwords by username; None lets everybody in without authentication.
        nonce_lifetime: after which a nonce is stale.
        offers_sha256: whether PASSWORD-ALGORITHMS is offered, as RFC 8489 has it; else MD5 alone, as RFC 5389.
        is_anonymous: whether USERHASH is asked for in place of USERNAME.
        default_lifetime: of an allocation that asks for none.
        max_lifetime: of any.
        user_quota: allocations of one user (486).
        capacity: allocations of all (508).
        max_permissions: of one allocation (508).
        max_channels: of one allocation (508).
        max_streams: of clients; one more is dropped.
        stream_timeout: how long a stream without an allocation may be silent.
        challenge_rate: answers a second, over UDP, to what one host asks without proving who it is; they are larger.
        allows_loopback: whether peers may be on the server's own machine, where relay_hosts are elsewhere.
        refuses_peer: more hosts that are never relayed to (403).
        alternate_server: where every Allocate is redirected to (300), None for nowhere.
        software: the SOFTWARE attribute, for those who have proved who they are.
    """

    relay_hosts: tuple[str, ...] = attrs.field(converter=_hosts)
    ports: tuple[int, int] = _DYNAMIC_PORTS
    realm: str = "xp2p.test"
    users: Mapping[str, str] | None = attrs.field(factory=lambda: {"user": "password"}, repr=False)
    nonce_lifetime: float = 3600.0
    offers_sha256: bool = True
    is_anonymous: bool = False
    default_lifetime: int = 600
    max_lifetime: int = 3600
    user_quota: float = math.inf
    capacity: float = 4096
    max_permissions: int = 256
    max_channels: int = 256
    max_streams: int = 256
    stream_timeout: float = 60.0
    challenge_rate: int = 200
    allows_loopback: bool = False
    refuses_peer: Callable[[str], bool] = lambda _: False
    alternate_server: Address | None = None
    software: str = "xp2p_trio.testing"

    def __attrs_post_init__(self) -> None:
        """Refuse what cannot work."""
        if not self.relay_hosts:
            raise InvalidArgument("relay_hosts is empty; give an IP address of the server's host")
        first, last = self.ports
        if not 1 <= first <= last <= 65535:
            raise InvalidArgument(f"ports {self.ports} is no range within 1 to 65535")
        if self.is_anonymous and not self.offers_sha256:
            raise InvalidArgument("is_anonymous needs offers_sha256; both came with RFC 8489")


@attrs.define
class TurnFaults:
    """What a server does wrong from now on; change it at any time.

    Attributes:
        is_silent: nothing is answered and nothing relayed, as if the server were gone.
        error_codes: by method, a code that is answered to each authenticated request.
        always_stale: every nonce is stale.
        no_integrity: responses leave without integrity.
        wrong_integrity: responses leave with the integrity of another key.
        forgets: the next request finds its allocation gone.
    """

    is_silent: bool = False
    error_codes: dict[Method, int] = attrs.field(factory=dict)
    always_stale: bool = False
    no_integrity: bool = False
    wrong_integrity: bool = False
    forgets: bool = False
