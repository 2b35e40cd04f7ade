"""One allocation on a TURN server as the agent knows it, and what becomes of it (RFC 8656)."""

from __future__ import annotations

from typing import Final, TypeAlias, final

import attrs

from xp2p_trio import turn
from xp2p_trio.sansio import Address, RandomBytes, Transport

UNAUTHORIZED: Final = 401
"""RFC 8656 section 19."""


@attrs.frozen
class TurnServer:
    """A TURN server, resolved.

    Attributes:
        address: numeric.
        credentials: of the user.
        transport: how it is reached.
        name: what it is called in events and diagnoses: its URL, without credentials.
        host: what the certificate of a `Transport.TLS` server must be for.
        is_renewable: whether `TurnCredentialsRequested` may be answered with other credentials.
    """

    address: Address
    credentials: turn.Credentials
    transport: Transport = Transport.UDP
    name: str = ""
    host: str = ""
    is_renewable: bool = False


def server_name(server: TurnServer) -> str:
    """What a server is called."""
    return server.name or f"turn:{server.address[0]}:{server.address[1]}"


@attrs.frozen
class RelayReady:
    """An allocation is there.

    Attributes:
        relay: which.
        mapped_address: our address as the server sees it.
    """

    relay: Relay
    mapped_address: Address


@attrs.frozen
class RelayEnded:
    """An allocation is gone, or was never there.

    Attributes:
        relay: which.
        code: of the server's error, or 0.
        realm: of the server, as far as it said.
        detail: why, in words; empty when we ended it ourselves.
    """

    relay: Relay
    code: int
    realm: str
    detail: str


@attrs.frozen
class PeerRefused:
    """The server relays nothing to this host."""

    relay: Relay
    host: str
    reason: str


@attrs.frozen
class CredentialsRefused:
    """The server takes the credentials no longer, and there are no others: the allocation lasts as long as it does."""

    relay: Relay
    realm: str
    detail: str


News: TypeAlias = RelayReady | RelayEnded | PeerRefused | CredentialsRefused


@final
class Relay:
    """One allocation, from the wish for it to its end.

    Attributes:
        server: whom we were told to ask.
        target: where that is; another address after a redirect.
        base: our socket over UDP; over a stream our end of that, once it is connected.
        local_preference: of the candidate.
        address: the relayed address once there is one.
        allocation: None before it was asked for, and while other credentials are waited for.
        framer: of what a stream brings.
        is_started: whether the server, or a stream to it, was asked for.
        is_leaving: whether it counts for nothing any more, and only its deletion is waited for.
        waits_for_credentials: whether the server takes nothing more from us before there are others.
    """

    __slots__ = (
        "_code", "_configuration", "_has_renewed", "_random_bytes", "_realm", "address", "allocation", "base", "framer",
        "is_leaving", "is_started", "local_preference", "server", "target", "waits_for_credentials",
    )  # fmt: skip

    def __init__(
        self,
        server: TurnServer,
        base: Address | None,
        local_preference: int,
        configuration: turn.Configuration,
        random_bytes: RandomBytes,
    ) -> None:
        self.server = server
        self.target = server.address
        self.base = base
        self.local_preference = local_preference
        self.address: Address | None = None
        self.allocation: turn.Allocation | None = None
        self.framer = turn.StreamFramer()
        self.is_started = False
        self.is_leaving = False
        self.waits_for_credentials = False
        self._configuration = configuration
        self._random_bytes = random_bytes
        self._has_renewed = False
        self._code = 0
        self._realm = ""

    def allocate(self, base: Address, now: float) -> None:
        """Ask for the allocation from this end of the transport."""
        self.base = base
        self.waits_for_credentials = False
        self.framer = turn.StreamFramer()
        self.allocation = turn.Allocation(
            self.target,
            base,
            self.server.credentials,
            random_bytes=self._random_bytes,
            configuration=self._configuration,
        )
        self.allocation.start(now)

    def wait_for_credentials(self) -> None:
        """The server has refused these; once there are others, it is asked anew."""
        self.waits_for_credentials = self._has_renewed = True
        self.allocation = None

    def redirect(self, target: Address, realm: str) -> None:
        """Go on at another server of the same realm, which may not send us on (RFC 8489 section 10).

        Over a stream that takes another stream, and another allocation.
        """
        self.target = target
        self._configuration = attrs.evolve(self._configuration, follow_redirect=False, realm=realm)
        if self.server.transport.is_stream:
            self.allocation = None

    def refuse(self, code: int, realm: str) -> None:
        """Remember why the end is coming."""
        self._code, self._realm = code, realm

    @property
    def realm(self) -> str:
        """As the server that refused gave it; empty when none did."""
        return self._realm

    @property
    def is_pending(self) -> bool:
        """Whether it may still get a relayed address."""
        return self.address is None and not self.is_leaving

    @property
    def may_renew(self) -> bool:
        """Whether other credentials may help."""
        is_wanted = self.server.is_renewable and not self.is_leaving
        return self._code == UNAUTHORIZED and is_wanted and not self._has_renewed

    def ended(self, detail: str) -> RelayEnded:
        """The last news."""
        return RelayEnded(self, self._code, self._realm, detail)
