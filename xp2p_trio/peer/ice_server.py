"""Server URLs as browsers (RFC 7064) and libdatachannel write them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

import attrs

from xp2p_trio.errors import InvalidArgument

STUN_PORT: Final = 3478
"""The default port of STUN over UDP (RFC 8489 section 8.1)."""

_URL: Final = re.compile(
    r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?://)?)?"
    r"(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_.-]{1,253})"
    r"(?::(?P<port>[0-9]{1,5}))?"
)
_HOST_AND_PORT: Final = re.compile(r"[^:]+:[0-9]{1,5}")


@attrs.frozen
class IceServer:
    """A server that tells a peer its public address.

    Attributes:
        host: name or IP literal, without brackets.
        port: UDP port.
    """

    host: str
    port: int = STUN_PORT

    def __str__(self) -> str:
        return f"stun:[{self.host}]:{self.port}" if ":" in self.host else f"stun:{self.host}:{self.port}"


IceServerLike: TypeAlias = "str | IceServer | Mapping[str, Any]"
"""A URL, a value, or the browser's `RTCIceServer` dictionary."""


def parse_ice_server(url: str) -> IceServer:
    """Read `stun:host[:port]`, `stun://host[:port]` or `host[:port]`.

    Raises:
        InvalidArgument: another scheme or another form; the text names the part that is wrong.
    """
    match = _URL.fullmatch("stun:" + url if _HOST_AND_PORT.fullmatch(url) else url)
    if match is None:
        raise InvalidArgument(f"ICE server {url!r} does not have the form stun:host[:port]")
    scheme = (match["scheme"] or "stun").lower()
    if scheme != "stun":
        raise InvalidArgument(f"ICE server {url!r} has scheme {scheme!r}; this version speaks stun: only")
    port = int(match["port"] or STUN_PORT)
    if not 0 < port < 65536:
        raise InvalidArgument(f"ICE server {url!r} has port {port}; ports are 1 to 65535")
    return IceServer(match["host"].strip("[]"), port)


def ice_servers(values: Iterable[IceServerLike]) -> tuple[IceServer, ...]:
    """Read a list of servers in any of the accepted forms.

    Raises:
        InvalidArgument: one of them is malformed.
    """
    if isinstance(values, str | Mapping | IceServer):
        values = (values,)
    return tuple(server for value in values for server in _servers(value))


def _servers(value: IceServerLike) -> tuple[IceServer, ...]:
    if isinstance(value, IceServer):
        return (value,)
    if isinstance(value, str):
        return (parse_ice_server(value),)
    urls = value.get("urls", value.get("url"))
    if isinstance(urls, str):
        urls = (urls,)
    if not urls:
        raise InvalidArgument(f"ICE server {dict(value)!r} has no member 'urls'")
    return tuple(parse_ice_server(url) for url in urls)
