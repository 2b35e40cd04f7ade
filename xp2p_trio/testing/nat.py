"""How NATs and firewalls behave, in the words of RFC 4787: plain configuration, validated when it is made."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any, Final, Literal, TypeAlias, get_args

import attrs

from xp2p_trio.errors import InvalidArgument

Dependence: TypeAlias = Literal["endpoint-independent", "address-dependent", "address-and-port-dependent"]
"""What of the remote address counts (RFC 4787 sections 4.1 and 5)."""

PortAssignment: TypeAlias = Literal["preserving", "random", "contiguous"]
"""Which external port a mapping gets (RFC 4787 section 4.2)."""

Hairpinning: TypeAlias = Literal["off", "external", "internal"]
"""Whether hosts inside reach each other at external addresses, and what source they see (RFC 4787 section 6)."""

DEFAULT_TIMEOUT: Final = 300.0
"""Seconds (RFC 4787 section 4.3, REQ-5 c: 5 minutes or more is recommended as the default)."""


def _one_of(alias: Any) -> Callable[[object, attrs.Attribute[Any], Any], None]:
    choices = get_args(alias)

    def check(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if value not in choices:
            raise InvalidArgument(f"{attribute.name} is {value!r}; it is one of {', '.join(map(repr, choices))}")

    return check


def _timeout(_: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not value > 0.0:
        raise InvalidArgument(f"{attribute.name} is {value!r}; give seconds, more than 0, or math.inf for never")


def _port_range(_: object, attribute: attrs.Attribute[tuple[int, int]], value: tuple[int, int]) -> None:
    if not 1 <= value[0] <= value[1] <= 65535:
        raise InvalidArgument(f"{attribute.name} is {value!r}; give the first and the last port, from 1 to 65535")


@attrs.frozen(kw_only=True)
class NatBehaviour:
    """What a NAT does with UDP over IPv4. It lets IPv6 through untranslated, by the same filter.

    Attributes:
        mapping: which remote addresses share the external address of a socket inside.
        filtering: which remote addresses may send to a mapping: any, or those that the socket sent to.
        ports: "preserving" takes the port of the socket if it is free and else a random one, "contiguous" the one after
            the last that was taken.
        hairpinning: "external" shows the external source address (REQ-9), "internal" the internal one.
        timeout: seconds without traffic after which a mapping is gone, and so is the leave of a remote address to send.
        inbound_refresh: whether traffic from outside that passes the filter counts for `timeout` (REQ-6: outbound
            traffic must, inbound traffic may).
        port_range: first and last external port.
    """

    mapping: Dependence = attrs.field(default="endpoint-independent", validator=_one_of(Dependence))
    filtering: Dependence = attrs.field(default="address-and-port-dependent", validator=_one_of(Dependence))
    ports: PortAssignment = attrs.field(default="preserving", validator=_one_of(PortAssignment))
    hairpinning: Hairpinning = attrs.field(default="off", validator=_one_of(Hairpinning))
    timeout: float = attrs.field(default=DEFAULT_TIMEOUT, validator=_timeout)
    inbound_refresh: bool = True
    port_range: tuple[int, int] = attrs.field(default=(1024, 65535), validator=_port_range)


FULL_CONE: Final = NatBehaviour(filtering="endpoint-independent")
"""Whoever knows a mapping may send to it."""

RESTRICTED_CONE: Final = NatBehaviour(filtering="address-dependent")
"""A host that was sent to may answer from any port."""

PORT_RESTRICTED_CONE: Final = NatBehaviour()
"""Only what was sent to may answer; what most homes have."""

SYMMETRIC: Final = NatBehaviour(mapping="address-and-port-dependent", ports="random")
"""Each remote address sees another external port; what carriers and offices have."""


@attrs.frozen(kw_only=True)
class FirewallPolicy:
    """What a firewall does with UDP, and with the streams of TCP and TLS.

    Attributes:
        allowed_ports: remote ports that UDP may go to and come from; None is all, `()` none.
        tcp_ports: remote ports that streams may go to; None is all, `()` none.
        filtering: who may send to a socket inside: who it sent to, as with a NAT; None lets everybody in, and streams
            as well if `tcp_ports` is None.
        timeout: seconds without traffic after which a remote address may no longer send.
        inbound_refresh: whether traffic from outside that is let in counts for `timeout`.
    """

    allowed_ports: Container[int] | None = None
    tcp_ports: Container[int] | None = None
    filtering: Dependence | None = attrs.field(
        default="address-and-port-dependent", validator=attrs.validators.optional(_one_of(Dependence))
    )
    timeout: float = attrs.field(default=DEFAULT_TIMEOUT, validator=_timeout)
    inbound_refresh: bool = True


STATEFUL: Final = FirewallPolicy()
"""Answers come in, nothing else does."""

UDP_BLOCKED: Final = FirewallPolicy(allowed_ports=())
"""No UDP at all; streams go out."""

WEB_ONLY: Final = FirewallPolicy(allowed_ports=(), tcp_ports=frozenset({80, 443}))
"""No UDP at all, and streams to the ports of the web only."""
