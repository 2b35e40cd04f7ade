"""Everything that can be chosen about a connection, in one value. Each layer's own constants are nested in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import attrs

from xp2p_trio.datachannel import Configuration as ChannelsConfiguration
from xp2p_trio.dtls import Certificate
from xp2p_trio.dtls import Configuration as DtlsConfiguration
from xp2p_trio.errors import InvalidArgument
from xp2p_trio.ice import CONSENT_INTERVAL
from xp2p_trio.ice import Configuration as IceConfiguration
from xp2p_trio.peer.ice_server import IceServer, parse_ice_servers
from xp2p_trio.peer.interface_filter import EVERY_INTERFACE, InterfaceFilter
from xp2p_trio.peer.validators import made_of, one_of, optional_ip_address, port, positive
from xp2p_trio.sctp import Configuration as SctpConfiguration


def _port_range(value: Sequence[int] | None) -> tuple[int, int] | None:
    match value:
        case None:
            return None
        case (int(low), int(high)) if 1 <= low <= high <= 65535:
            return low, high
        case _:
            raise InvalidArgument(
                f"port_range is {value!r}; it must be the lowest and the highest port, within 1 to 65535"
            )


@attrs.frozen(kw_only=True)
class Configuration:
    """The configuration of a `Connection`.

    Attributes:
        ice_servers: STUN and TURN servers, as URLs, values or the browser's dictionaries. None by default.
        ice_transport_policy: "relay" lets the peer learn the addresses of TURN servers only; "all" lets it learn ours.
        bind_address: the one local IP address to use, whatever `interfaces` admits; every usable interface by default.
        enable_ipv6: whether IPv6 addresses are used as well.
        interfaces: which network interfaces and which of their addresses are used; every one by default.
        port_range: the lowest and the highest local port, for firewalls that let no others pass; any port by default.
        mdns: "resolve" asks the local network for the mDNS names behind which browsers hide their addresses; "hide"
            hides ours behind such names as well; "off" leaves out the candidates that have them.
        certificate: our identity; a new one for each connection by default.
        sctp_port: the port that `a=sctp-port` announces (RFC 8841 section 5).
        max_message_size: bytes of the largest message that we accept, `a=max-message-size` (RFC 8841 section 6); at
            most SCTP's receive window, in which a message waits until it is whole.
        send_buffer: bytes that a channel queues before its `send` waits.
        receive_buffer: bytes of unread messages that a connection holds, each counted with 128 more, beside SCTP's
            receive window, before it stops taking more from the peer.
        consent_interval: seconds between two consent checks, randomised by 20 % (RFC 7675 section 5.1).
        close_timeout: seconds that an orderly end may take.
        ice: constants of ICE.
        dtls: constants of DTLS.
        sctp: constants of SCTP.
        channels: limits of data channels.
    """

    ice_servers: tuple[IceServer, ...] = attrs.field(default=(), converter=parse_ice_servers)
    ice_transport_policy: Literal["all", "relay"] = attrs.field(default="all", validator=one_of("all", "relay"))
    bind_address: str | None = attrs.field(default=None, validator=optional_ip_address)
    enable_ipv6: bool = False
    interfaces: InterfaceFilter = attrs.field(default=EVERY_INTERFACE, validator=made_of(InterfaceFilter))
    port_range: tuple[int, int] | None = attrs.field(default=None, converter=_port_range)
    mdns: Literal["resolve", "hide", "off"] = attrs.field(default="resolve", validator=one_of("resolve", "hide", "off"))
    certificate: Certificate | None = attrs.field(default=None, repr=False)
    sctp_port: int = attrs.field(default=5000, validator=port)
    max_message_size: int = attrs.field(default=262144, validator=positive)
    send_buffer: int = attrs.field(default=256 * 1024, validator=positive)
    receive_buffer: int = attrs.field(default=1024 * 1024, validator=positive)
    consent_interval: float = attrs.field(default=CONSENT_INTERVAL, validator=positive)
    close_timeout: float = attrs.field(default=5.0, validator=positive)
    ice: IceConfiguration = attrs.field(factory=IceConfiguration)
    dtls: DtlsConfiguration = attrs.field(factory=DtlsConfiguration)
    sctp: SctpConfiguration = attrs.field(factory=SctpConfiguration)
    channels: ChannelsConfiguration = attrs.field(factory=ChannelsConfiguration)

    def __attrs_post_init__(self) -> None:
        """Refuse what leads nowhere, and what SCTP would refuse when the connection starts."""
        if self.ice_transport_policy == "relay" and not any(server.is_turn for server in self.ice_servers):
            raise InvalidArgument(
                "ice_transport_policy is 'relay', and no TURN server is among ice_servers; add one, or choose 'all'"
            )
        if self.ice.lite and (self.ice_transport_policy == "relay" or self.mdns == "hide" or self.ice_servers):
            raise InvalidArgument(
                "ice.lite tells host candidates alone, as they are (RFC 8445 section 5.2); "
                'ice_servers, "relay" and mdns="hide" do not go with it'
            )
        if self.max_message_size > self.sctp.receive_window:
            raise InvalidArgument(
                f"max_message_size is {self.max_message_size}; it must be at most sctp.receive_window, "
                f"{self.sctp.receive_window}"
            )
