"""STUN and TURN servers, and their URLs as browsers (RFC 7064, RFC 7065) and libdatachannel write them.

    stun:stun.example.org                             turn:turn.example.org:3479?transport=tcp
    stun.example.org:19302                            turn:user:pass%40word@turn.example.org
    stun://[2001:db8::1]:3478                         turns:user:password@turn.example.org

No text made here, of a value or of an error, has a password in it: where one may be, it says `***`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NoReturn, TypeAlias, cast
from urllib.parse import unquote

import attrs

from xp2p_trio.errors import InvalidArgument
from xp2p_trio.sansio import Transport
from xp2p_trio.turn import Credentials

DEFAULT_PORT: Final = 3478
"""Of STUN and TURN over UDP and TCP (RFC 8489 section 8.1, RFC 7065 section 3.2)."""

TLS_PORT: Final = 5349
"""Of TURN over TLS (RFC 7065 section 3.2)."""

Scheme: TypeAlias = Literal["stun", "turn", "turns"]

RenewCredentials: TypeAlias = Callable[[], Awaitable[Credentials]]
"""A coroutine function that gets new credentials from whoever hands them out."""

_TRANSPORTS: Final = {
    ("stun", "udp"): Transport.UDP,
    ("turn", "udp"): Transport.UDP,
    ("turn", "tcp"): Transport.TCP,
    ("turns", "tcp"): Transport.TLS,
}
"""What carries the words of a server, by scheme and `?transport=`."""

_REFUSED_SCHEMES: Final = {"stuns": "STUN over TLS tells nothing about a UDP port; write stun:"}
_REFUSED_TRANSPORTS: Final = {
    ("stun", "tcp"): "STUN over TCP tells nothing about a UDP port; leave out ?transport=tcp",
    ("turn", "tls"): "TURN over TLS has a scheme of its own; write turns: and leave out ?transport=tls",
    ("turns", "udp"): "TURN over DTLS is not spoken here; leave out ?transport=udp for TLS, or write turn:",
    ("turns", "tls"): "turns: is TLS already; leave out ?transport=tls",
}

# Every text matches: what is wrong is found part by part, and then has a name. A name that is not a scheme is one of a
# host if digits are all that follows its colon.
_URL: Final = re.compile(
    r"(?:(?P<scheme>(?i:stuns?|turns?)|[A-Za-z][A-Za-z0-9+.-]*(?!:[0-9]+(?:\?.*)?\Z)):(?://)?)?"
    r"(?:(?P<user>.*)@)?"
    r"(?P<host>(?:\[[^\[\]]*\])?[^:?]*)"
    r"(?::(?P<port>[^?]*))?"
    r"(?:\?(?P<query>.*))?",
    re.DOTALL,
)
_PORT: Final = re.compile(r"[0-9]{1,5}")
_QUERY: Final = re.compile(r"transport=([a-z]{1,4})", re.IGNORECASE)
_PERCENT_ENCODED: Final = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})*", re.DOTALL)
# A name whose last label is a number is what a resolver takes for an IPv4 address with a part missing.
_NAME: Final = re.compile(r"(?:[A-Za-z0-9_-]{1,63}\.)*(?![0-9]+\.?\Z)[A-Za-z0-9_-]{1,63}\.?")


def _host(host: str) -> str:
    if not host:
        raise InvalidArgument("the host is missing")
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        if len(host) <= 253 and _NAME.fullmatch(host):
            return host
        raise InvalidArgument(
            f"host {host!r} is neither a name of letters, digits, hyphens and dots (others are written xn--...) "
            "nor an IP address; an IPv6 address in a URL stands in brackets"
        ) from None
    if "%" in host:
        raise InvalidArgument(f"host {host!r} has a zone, which a URL cannot carry; write the address without it")
    return str(ip)


@attrs.frozen
class IceServer:
    """A server that tells a peer its public address (STUN), or that passes its datagrams on as well (TURN).

    Attributes:
        scheme: "stun", "turn", or "turns" for TURN over TLS.
        host: name or IP literal, without brackets.
        port: 3478 by default, 5349 for "turns".
        transport: what carries our words to the server. UDP by default, or TCP for "turn"; TLS for "turns".
        username: of TURN's long-term credential (RFC 8489 section 9.2); goes with `password`.
        password: of TURN's long-term credential.
        renew: gets credentials that expire. It is called when the server takes those that it was given no longer, and
            before they are used where there is no `username`, or where that begins with a Unix time that is over.

    Raises:
        InvalidArgument: what cannot work; the text names the part that is wrong, and never quotes the password.
    """

    scheme: Scheme = attrs.field(default="stun", kw_only=True)
    host: str = attrs.field(converter=_host)
    port: int = attrs.field()
    transport: Transport = attrs.field(kw_only=True)
    username: str | None = attrs.field(default=None, kw_only=True)
    password: str | None = attrs.field(default=None, kw_only=True, repr=False)
    renew: RenewCredentials | None = attrs.field(default=None, kw_only=True, repr=False)

    @port.default
    def _(self) -> int:
        return TLS_PORT if self.scheme == "turns" else DEFAULT_PORT

    @transport.default
    def _(self) -> Transport:
        return Transport.TLS if self.scheme == "turns" else Transport.UDP

    def __attrs_post_init__(self) -> None:
        """Refuse what cannot work."""
        _check_scheme(self.scheme)
        if not any(scheme == self.scheme and way is self.transport for (scheme, _), way in _TRANSPORTS.items()):
            _refuse_transport(self.scheme, self.transport.value)
        if not 0 < self.port < 65536:
            raise InvalidArgument(f"port {self.port} is out of range; ports are 1 to 65535")
        if self.username is None and self.password is not None:
            raise InvalidArgument("there is a password without a username")
        if self.username is not None and self.password is None:
            raise InvalidArgument("there is a username without a password")
        if not self.is_turn and (self.username is not None or self.renew is not None):
            raise InvalidArgument("stun: takes no username and no password; leave them out, or write turn:")
        if self.renew is not None and not callable(self.renew):
            raise InvalidArgument("renew is no function; give a coroutine function that returns turn.Credentials")
        _ = self.credentials  # which refuses what does not fit into a request

    @property
    def is_turn(self) -> bool:
        """Whether it passes datagrams on."""
        return self.scheme != "stun"

    @property
    def credentials(self) -> Credentials | None:
        """What TURN is spoken with; None where there is none yet."""
        if self.username is None or self.password is None:
            return None
        return Credentials(self.username, self.password)

    @property
    def url(self) -> str:
        """What errors and events call it: RFC 7064 or RFC 7065 with the port, without credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        query = "?transport=tcp" if self.transport is Transport.TCP else ""
        return f"{self.scheme}:{host}:{self.port}{query}"

    def __str__(self) -> str:
        return self.url


IceServerLike: TypeAlias = "str | IceServer | Mapping[str, Any]"
"""A URL, a value, or the browser's `RTCIceServer` dictionary, which may have our `renew` as well."""


def parse_ice_server(url: str) -> IceServer:
    """Read the URL of a STUN or TURN server, or the `host:port` of a STUN server.

    TURN's credentials may be missing here, for a program that adds them to the value.

    Raises:
        InvalidArgument: it cannot be used; the text names the part that is wrong, and never quotes the password.
    """
    parts = _URL.fullmatch(url)
    assert parts is not None
    try:
        return _server(parts)
    except InvalidArgument as error:
        raise InvalidArgument(f"ICE server {_masked(parts)!r}: {error}") from None


def parse_ice_servers(values: Iterable[IceServerLike]) -> tuple[IceServer, ...]:
    """Read a list of servers in any of the accepted forms.

    Raises:
        InvalidArgument: one of them is malformed, or is a TURN server without credentials and without `renew`.
    """
    if isinstance(values, str | Mapping | IceServer):
        values = (values,)
    servers = tuple(server for value in values for server in _servers(value))
    for server in servers:
        if server.is_turn and server.credentials is None and server.renew is None:
            raise InvalidArgument(
                f"ICE server {server.url!r}: TURN needs a username and a password; write turn:user:password@host, "
                "or give username and credential, or renew"
            )
    return servers


def _server(parts: re.Match[str]) -> IceServer:
    scheme = (parts["scheme"] or "stun").lower()
    _check_scheme(scheme)
    host, port, user = parts["host"], parts["port"], parts["user"]
    if port is not None and not _PORT.fullmatch(port):
        if ":" in port:
            raise InvalidArgument("an IPv6 address is written in brackets, as in [2001:db8::1]:3478")
        raise InvalidArgument("the port is not a number from 1 to 65535")
    if host.startswith("["):
        host = host[1:-1] if host.endswith("]") else host
        if ":" not in host:
            raise InvalidArgument(f"host {parts['host']!r} has brackets, which only an IPv6 address has")
    username = password = None
    if user is not None:
        username, colon, password = user.partition(":")
        if not colon and scheme != "stun":
            raise InvalidArgument("there is a username without a password; write user:password@host")
        username, password = _decoded(username, "username"), _decoded(password, "password")
    server = IceServer(
        host,
        scheme=cast(Scheme, scheme),
        transport=_transport(scheme, parts["query"]),
        username=username,
        password=password,
    )
    return server if port is None else attrs.evolve(server, port=int(port))


def _transport(scheme: str, query: str | None) -> Transport:
    if query is None:
        return _TRANSPORTS[scheme, "tcp" if scheme == "turns" else "udp"]
    match = _QUERY.fullmatch(query)
    if match is None:
        raise InvalidArgument("what follows the ? is neither transport=udp nor transport=tcp")
    transport = match[1].lower()
    return _TRANSPORTS.get((scheme, transport)) or _refuse_transport(scheme, transport)


def _refuse_transport(scheme: str, transport: str) -> NoReturn:
    reason = _REFUSED_TRANSPORTS.get((scheme, transport), "it is udp or tcp")
    raise InvalidArgument(f"transport {transport!r} does not go with {scheme}: {reason}")


def _check_scheme(scheme: str) -> None:
    if scheme not in ("stun", "turn", "turns"):
        reason = _REFUSED_SCHEMES.get(scheme, "it is stun, turn or turns")
        raise InvalidArgument(f"scheme {scheme!r} is not spoken here: {reason}")


def _decoded(part: str, name: str) -> str:
    if not _PERCENT_ENCODED.fullmatch(part):
        raise InvalidArgument(f"the {name} has a % without two hex digits behind it; write %25")
    try:
        return unquote(part, errors="strict")
    except UnicodeDecodeError:
        pass  # It holds the bytes, and would go along as the context of another exception.
    raise InvalidArgument(f"the {name} has percent-encoded bytes that are not UTF-8")


def _masked(parts: re.Match[str]) -> str:
    """The URL as it may be shown: there may be a password in every part that is not what it should be."""
    text = parts.string
    scheme = parts["scheme"]
    if scheme is not None and not re.fullmatch("(?i)stuns?|turns?", scheme):
        return f"{scheme}:***"
    # From the right, so that the places of the others stay.
    for name, harmless in (("query", _QUERY), ("port", _PORT), ("user", None)):
        start, end = parts.span(name)
        if start < end and not (harmless and harmless.fullmatch(parts[name])):
            text = f"{text[:start]}***{text[end:]}"
    return text


def _servers(value: object) -> tuple[IceServer, ...]:
    if isinstance(value, IceServer):
        return (value,)
    if isinstance(value, str):
        return (parse_ice_server(value),)
    if isinstance(value, Mapping):
        return _dictionary(value)
    raise InvalidArgument(f"an ICE server is a URL, an IceServer or a dictionary, not {type(value).__name__}")


def _dictionary(value: Mapping[str, Any]) -> tuple[IceServer, ...]:
    """Read an `RTCIceServer` (W3C WebRTC section 4.2.4); of its servers those for STUN do without the credentials."""
    urls = value.get("urls", value.get("url"))
    if isinstance(urls, str):
        urls = (urls,)
    if not urls or not isinstance(urls, Sequence) or not all(isinstance(url, str) for url in urls):
        raise InvalidArgument(
            f"an ICE server with the members {', '.join(map(repr, value))} has no URL and no list of URLs as 'urls'"
        )
    servers = [parse_ice_server(url) for url in urls]
    if value.get("credentialType", "password") != "password":
        raise InvalidArgument(
            f"ICE server {servers[0].url!r}: credentialType is not 'password', the only one that is spoken here"
        )
    extra = {
        name: value[member]
        for name, member in (("username", "username"), ("password", "credential"), ("renew", "renew"))
        if value.get(member) is not None
    }
    return tuple(_with_credentials(server, extra) if server.is_turn and extra else server for server in servers)


def _with_credentials(server: IceServer, extra: Mapping[str, Any]) -> IceServer:
    try:
        for name in ("username", "password"):
            if name in extra and server.username is not None:
                raise InvalidArgument(f"there is a {name} in the URL, and another one beside it")
            if not isinstance(extra.get(name, ""), str):
                raise InvalidArgument(f"{name} is no text")
        return attrs.evolve(server, **extra)
    except InvalidArgument as error:
        raise InvalidArgument(f"ICE server {server.url!r}: {error}") from None
