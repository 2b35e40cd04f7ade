"""Everything that can be chosen about a connection, in one value. Each layer's own constants are nested in it."""

from __future__ import annotations

import ipaddress
from typing import Any

import attrs

from xp2p_trio.datachannel import Configuration as ChannelsConfiguration
from xp2p_trio.dtls import Certificate
from xp2p_trio.dtls import Configuration as DtlsConfiguration
from xp2p_trio.errors import InvalidArgument
from xp2p_trio.ice import CONSENT_INTERVAL
from xp2p_trio.ice import Configuration as IceConfiguration
from xp2p_trio.peer.ice_server import IceServer, ice_servers
from xp2p_trio.sctp import Configuration as SctpConfiguration


def _positive(_instance: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not value > 0:
        raise InvalidArgument(f"{attribute.name} is {value!r}; it must be greater than 0")


def _port(_instance: object, attribute: attrs.Attribute[Any], value: int) -> None:
    if not 0 < value < 65536:
        raise InvalidArgument(f"{attribute.name} is {value!r}; ports are 1 to 65535")


def _address(_instance: object, attribute: attrs.Attribute[Any], value: str | None) -> None:
    if value is not None:
        try:
            ipaddress.ip_address(value)
        except ValueError:
            raise InvalidArgument(f"{attribute.name} is {value!r}; it must be an IP address of this machine") from None


@attrs.frozen(kw_only=True)
class Configuration:
    """The configuration of a `Connection`.

    Attributes:
        ice_servers: STUN servers, as URLs, values or the browser's dictionaries. None by default.
        bind_address: the one local IP address to use; every usable interface by default.
        enable_ipv6: whether IPv6 addresses are used as well.
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

    ice_servers: tuple[IceServer, ...] = attrs.field(default=(), converter=ice_servers)
    bind_address: str | None = attrs.field(default=None, validator=_address)
    enable_ipv6: bool = False
    certificate: Certificate | None = attrs.field(default=None, repr=False)
    sctp_port: int = attrs.field(default=5000, validator=_port)
    max_message_size: int = attrs.field(default=262144, validator=_positive)
    send_buffer: int = attrs.field(default=256 * 1024, validator=_positive)
    receive_buffer: int = attrs.field(default=1024 * 1024, validator=_positive)
    consent_interval: float = attrs.field(default=CONSENT_INTERVAL, validator=_positive)
    close_timeout: float = attrs.field(default=5.0, validator=_positive)
    ice: IceConfiguration = attrs.field(factory=IceConfiguration)
    dtls: DtlsConfiguration = attrs.field(factory=DtlsConfiguration)
    sctp: SctpConfiguration = attrs.field(factory=SctpConfiguration)
    channels: ChannelsConfiguration = attrs.field(factory=ChannelsConfiguration)

    def __attrs_post_init__(self) -> None:
        """Refuse what SCTP would refuse when the connection starts."""
        if self.max_message_size > self.sctp.receive_window:
            raise InvalidArgument(
                f"max_message_size is {self.max_message_size}; it must be at most sctp.receive_window, "
                f"{self.sctp.receive_window}"
            )
