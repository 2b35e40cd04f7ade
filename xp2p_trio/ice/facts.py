"""What is known of the network that a machine stands in, and what follows from it. Everything may be unknown."""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Sequence

import attrs

from xp2p_trio.sansio import Address, Transport, is_ipv6


class NatMapping(enum.StrEnum):
    """What RFC 4787 section 4.1 calls the mapping behaviour, as far as answers of servers tell."""

    NO_NAT = "no NAT"
    ENDPOINT_INDEPENDENT = "endpoint-independent"
    VARIES = "varies by destination"
    UNKNOWN = "unknown"


class Outcome(enum.StrEnum):
    """What came of asking a server."""

    WORKS = "works"
    """STUN has told our address, TURN has made an allocation."""
    REFUSED = "refused"
    """It answered, but with something else."""
    UNREACHABLE = "unreachable"
    """It did not answer, or there is no stream to it."""
    NOT_ASKED = "not asked"
    """Its name has no address, or none that can be used from here, or credentials are missing."""


@attrs.frozen(kw_only=True)
class Sighting:
    """How one server sees one socket.

    Attributes:
        local: the socket.
        server: who was asked.
        mapped: the socket's address as the server sees it.
    """

    local: Address
    server: Address
    mapped: Address


@attrs.frozen(kw_only=True)
class ServerFacts:
    """One server that was asked over one transport.

    Attributes:
        name: its URL without credentials, "stun:..." or "turn:..." or "turns:...".
        outcome: what came of it.
        transport: how it was asked.
        address: where; None if it was not asked.
        code: of its error response, 0 for none.
        realm: of its credentials, where it named one.
        detail: its own words, or why it was not or could not be asked; part of a sentence.
        round_trip_time: seconds until it had done what was asked of it, None if it has not or they were not measured.
    """

    name: str
    outcome: Outcome
    transport: Transport = Transport.UDP
    address: Address | None = None
    code: int = 0
    realm: str = ""
    detail: str = ""
    round_trip_time: float | None = None

    @property
    def is_relay(self) -> bool:
        """Whether it was asked for an allocation."""
        return self.name.startswith("turn")


@attrs.frozen(kw_only=True)
class NetworkFacts:
    """What is known of the network that a machine stands in.

    Attributes:
        hosts: the addresses that sockets were bound to, None if unknown.
        sightings: what servers see of these sockets.
        servers: all that were asked or should have been.
        hairpin: whether the NAT hands back what is sent to its own outside, None if unknown.
        ipv6: whether the machine has a global IPv6 address, None if unknown.
        is_ipv6_enabled: whether it may be used.
    """

    hosts: tuple[str, ...] | None = None
    sightings: tuple[Sighting, ...] = ()
    servers: tuple[ServerFacts, ...] = ()
    hairpin: bool | None = None
    ipv6: bool | None = None
    is_ipv6_enabled: bool = False

    @property
    def udp(self) -> bool | None:
        """Whether UDP gets out and back: None if nobody who could tell was asked."""
        asked = [
            server.outcome
            for server in self.servers
            if not server.transport.is_stream and server.outcome is not Outcome.NOT_ASKED
        ]
        if self.sightings or any(outcome is not Outcome.UNREACHABLE for outcome in asked):
            return True
        return False if asked else None

    @property
    def mapping(self) -> NatMapping:
        """That of IPv4; that of IPv6 where no server sees us by IPv4. Of several sockets the best one counts."""
        seen = self.seen_by_ipv4 or self.sightings
        by_socket: defaultdict[Address, list[Sighting]] = defaultdict(list)
        for sighting in seen:
            by_socket[sighting.local].append(sighting)
        found = {_mapping_of(sightings) for sightings in by_socket.values()}
        order = (NatMapping.NO_NAT, NatMapping.ENDPOINT_INDEPENDENT, NatMapping.VARIES)
        return next((mapping for mapping in order if mapping in found), NatMapping.UNKNOWN)

    @property
    def seen_by_ipv4(self) -> tuple[Sighting, ...]:
        """The sightings of IPv4."""
        return tuple(sighting for sighting in self.sightings if not is_ipv6(sighting.mapped[0]))

    @property
    def public_hosts(self) -> tuple[str, ...]:
        """The hosts that servers see, each once."""
        return tuple(dict.fromkeys(sighting.mapped[0] for sighting in self.sightings))

    @property
    def relays(self) -> tuple[ServerFacts, ...]:
        """The servers that were to relay."""
        return tuple(server for server in self.servers if server.is_relay)

    @property
    def working_relay(self) -> ServerFacts | None:
        """A relay that works, over UDP if there is one."""
        working = [server for server in self.relays if server.outcome is Outcome.WORKS]
        return min(working, key=lambda server: server.transport.is_stream, default=None)


def _mapping_of(sightings: Sequence[Sighting]) -> NatMapping:
    """What the sightings of one socket say."""
    mapped = {sighting.mapped for sighting in sightings}
    if len(mapped) > 1:
        return NatMapping.VARIES
    if mapped == {sighting.local for sighting in sightings}:
        return NatMapping.NO_NAT
    # A mapping that depends on the address alone looks the same from two ports of one host.
    hosts = {sighting.server[0] for sighting in sightings}
    return NatMapping.ENDPOINT_INDEPENDENT if len(hosts) > 1 else NatMapping.UNKNOWN
