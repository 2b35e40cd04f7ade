"""Which hosts are never sent to (RFC 8445 section 5.1.1.1), and which only reach their like."""

from __future__ import annotations

from typing import Final

from xp2p_trio.ice.configuration import Configuration
from xp2p_trio.sansio import Scope, host_scopes

_REFUSED: Final = {Scope.UNSPECIFIED, Scope.MULTICAST, Scope.RESERVED, Scope.SITE_LOCAL}


def is_ipv6_link_local(host: str) -> bool:
    """Whether RFC 8445 section 6.1.2.2 keeps this host apart from all but its like."""
    return host.startswith(("fe8", "fe9", "fea", "feb")) and ":" in host


def refuse_host(host: str, configuration: Configuration) -> str | None:
    """Why nothing is ever sent to this host, or None when it is fine.

    An IPv6 address that embeds an IPv4 one is judged by both.
    """
    scopes = host_scopes(host)
    if not scopes:
        return "it is no IP address"
    for scope in scopes:
        if scope in _REFUSED:
            return f"it is {scope.value}"
        if (scope is Scope.LOOPBACK and not configuration.allow_loopback) or (
            scope is Scope.LINK_LOCAL and not configuration.allow_link_local
        ):
            return f"it is {scope.value}, which the configuration does not allow"
    return None
