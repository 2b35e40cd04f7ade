"""Which hosts nothing is relayed to."""

from __future__ import annotations

from typing import Final

from xp2p_trio.sansio import Scope, host_scopes

_REFUSED: Final = {Scope.UNSPECIFIED, Scope.MULTICAST, Scope.RESERVED}  # site-local hosts are the server's to judge


def refuse_host(host: str, *, allow_loopback: bool = False, allow_link_local: bool = False) -> str | None:
    """Why nothing is to be sent to this host, or None when it is fine.

    An IPv6 address that embeds an IPv4 one is judged by both.
    """
    scopes = host_scopes(host)
    if not scopes:
        return "it is no IP address"
    for scope in scopes:
        if scope in _REFUSED:
            return f"it is {scope.value}"
        if (scope is Scope.LOOPBACK and not allow_loopback) or (scope is Scope.LINK_LOCAL and not allow_link_local):
            return f"it is {scope.value}, which the configuration does not allow"
    return None
