"""The candidate attribute (RFC 8839 section 5.1; TCP by RFC 6544 section 4.5; `ufrag` by RFC 8838 section 4.4).

candidate:<foundation> <component> <transport> <priority> <address> <port> typ <type>
          [raddr <address> rport <port>] [tcptype <type>] [ufrag <ufrag>] [<name> <value>]...
"""

from __future__ import annotations

import enum
import ipaddress
from typing import Final

import attrs

from xp2p_trio.errors import InvalidArgument, SdpError
from xp2p_trio.sansio import Address
from xp2p_trio.sdp.grammar import ICE_CHARS, MAX_LINE_SIZE, TOKEN, VISIBLE, canonical_host, decode_integer

MAX_PRIORITY: Final = 2**31 - 1
"""RFC 8839 section 5.1."""

_TCP_TYPES: Final = frozenset({"active", "passive", "so"})
_KNOWN_NAMES: Final = frozenset({"raddr", "rport", "tcptype", "ufrag"})


class CandidateType(enum.StrEnum):
    """How a candidate was learned (RFC 8445 section 5.1.1)."""

    HOST = "host"
    SERVER_REFLEXIVE = "srflx"
    PEER_REFLEXIVE = "prflx"
    RELAYED = "relay"


@attrs.frozen
class Candidate:
    """A transport address that a peer may be reached at.

    Attributes:
        foundation: 1 to 32 ICE characters; equal for candidates of one type, base and server.
        component: 1 to 256; data channels have only component 1.
        transport: "udp" or "tcp" (RFC 6544), in lower case; tokens of other extensions are kept.
        priority: 1 to 2**31 - 1.
        host: an IP literal as `ipaddress` spells it, or an mDNS name (`*.local`) in lower case.
        port: 1 to 65535.
        type: how the candidate was learned.
        related_address: the base of a reflexive candidate or the mapped address of a relayed one, for diagnosis only.
        tcp_type: "active", "passive" or "so" for TCP.
        username_fragment: the ICE generation that the candidate belongs to.
        extensions: the name and value pairs that have no field here, in order.

    Raises:
        InvalidArgument: a field is outside of the grammar.
    """

    foundation: str
    component: int
    transport: str
    priority: int
    host: str
    port: int
    type: CandidateType
    related_address: Address | None = None
    tcp_type: str | None = None
    username_fragment: str | None = None
    extensions: tuple[tuple[str, str], ...] = ()

    def __attrs_post_init__(self) -> None:
        """Refuse what would not survive `encode_candidate` and `decode_candidate`, line breaks above all."""
        related = self.related_address
        sound = (
            ICE_CHARS.fullmatch(self.foundation) is not None
            and len(self.foundation) <= 32
            and 1 <= self.component <= 256
            and TOKEN.fullmatch(self.transport) is not None
            and self.transport == self.transport.lower()
            and 1 <= self.priority <= MAX_PRIORITY
            and _is_canonical(self.host)
            and 1 <= self.port <= 65535
            and (related is None or (_is_canonical(related[0]) and 0 <= related[1] <= 65535))
            and (self.tcp_type is None or self.tcp_type in _TCP_TYPES)
            and (self.username_fragment is None or _is_username_fragment(self.username_fragment))
            and all(_is_extension(name, value) and name not in _KNOWN_NAMES for name, value in self.extensions)
        )
        if not sound:
            raise InvalidArgument(f"{self!r} is outside of the grammar of RFC 8839 section 5.1")

    @property
    def address(self) -> Address:
        """Where the candidate is reached."""
        return self.host, self.port


def decode_candidate(line: str) -> Candidate:
    """Parse `candidate:...`, with or without the `a=` of a description.

    Raises:
        SdpError: the line is not a candidate, or of a type or an address kind that RFC 8839 says to ignore.
    """
    try:
        return _decode(line)
    except SdpError as error:
        raise SdpError(error.reason, line=line) from None


def encode_candidate(candidate: Candidate) -> str:
    """The line of a candidate, without `a=`: what a browser calls `candidate`."""
    parts = [
        f"candidate:{candidate.foundation}",
        str(candidate.component),
        candidate.transport,
        str(candidate.priority),
        _without_zone(candidate.host),
        str(candidate.port),
        "typ",
        candidate.type.value,
    ]
    if candidate.related_address is not None:
        host, port = candidate.related_address
        parts += ("raddr", _without_zone(host), "rport", str(port))
    if candidate.tcp_type is not None:
        parts += ("tcptype", candidate.tcp_type)
    if candidate.username_fragment is not None:
        parts += ("ufrag", candidate.username_fragment)
    for pair in candidate.extensions:
        parts += pair
    return " ".join(parts)


def _decode(line: str) -> Candidate:
    if len(line) > MAX_LINE_SIZE:
        raise SdpError(f"candidate of {len(line)} characters, where {MAX_LINE_SIZE} are allowed")
    text = line.removesuffix("\n").removesuffix("\r").removeprefix("a=")
    if not text.startswith("candidate:"):
        raise SdpError('a candidate starts with "candidate:"')
    fields = text[len("candidate:") :].split(" ")
    if len(fields) > 8 and len(fields) % 2 and not fields[-1]:
        fields.pop()  # a space at the end of the line
    if len(fields) < 8:
        raise SdpError(f"candidate of {len(fields)} fields, where 8 are needed")
    foundation, component, transport, priority, host, port, typ, kind = fields[:8]
    if len(foundation) > 32 or ICE_CHARS.fullmatch(foundation) is None:
        raise SdpError("foundation is not 1 to 32 ICE characters")
    if TOKEN.fullmatch(transport) is None:
        raise SdpError("transport is not a token")
    if typ.lower() != "typ":
        raise SdpError('the seventh field of a candidate is "typ"')
    related, rest = _decode_related(fields[8:])
    tcp_type, username_fragment, extensions = _decode_extensions(rest)
    return Candidate(
        foundation,
        decode_integer(component, 1, 256, "component"),
        transport.lower(),
        decode_integer(priority, 1, MAX_PRIORITY, "priority"),
        _decode_host(host),
        decode_integer(port, 1, 65535, "port"),
        _decode_type(kind),
        related,
        tcp_type,
        username_fragment,
        extensions,
    )


def _decode_type(kind: str) -> CandidateType:
    try:
        return CandidateType(kind.lower())
    except ValueError:
        raise SdpError("unknown candidate type") from None


def _decode_host(text: str) -> str:
    host = canonical_host(text)
    if host is None:
        raise SdpError("address is neither an IP literal nor an mDNS name")
    return host


def _decode_related(fields: list[str]) -> tuple[Address | None, list[str]]:
    """The optional `raddr` and `rport`, in this order, and the fields behind them."""
    if len(fields) < 2 or fields[0].lower() != "raddr":
        return None, fields
    host = _decode_host(fields[1])
    if len(fields) < 4 or fields[2].lower() != "rport":
        return (host, 0), fields[2:]
    return (host, decode_integer(fields[3], 0, 65535, "related port")), fields[4:]


def _decode_extensions(fields: list[str]) -> tuple[str | None, str | None, tuple[tuple[str, str], ...]]:
    """The first `tcptype`, the first `ufrag`, and all pairs of other names; a repeated one is ignored."""
    if len(fields) % 2:
        raise SdpError("an extension of the candidate has a name and no value")
    tcp_type: str | None = None
    username_fragment: str | None = None
    extensions: list[tuple[str, str]] = []
    for name, value in zip(fields[::2], fields[1::2], strict=True):
        if not _is_extension(name, value):
            raise SdpError("an extension of the candidate has characters outside of the grammar")
        if name == "tcptype" and tcp_type is None:
            tcp_type = value.lower()
            if tcp_type not in _TCP_TYPES:
                raise SdpError("unknown tcptype")
        elif name == "ufrag" and username_fragment is None:
            if not _is_username_fragment(value):
                raise SdpError("ufrag is not 1 to 256 ICE characters")
            username_fragment = value
        elif name not in _KNOWN_NAMES:
            extensions.append((name, value))
    return tcp_type, username_fragment, tuple(extensions)


def _is_extension(name: str, value: str) -> bool:
    return TOKEN.fullmatch(name) is not None and VISIBLE.fullmatch(value) is not None


def _is_username_fragment(text: str) -> bool:
    return len(text) <= 256 and ICE_CHARS.fullmatch(text) is not None


def _is_canonical(host: str) -> bool:
    """Whether `host` is an mDNS name or an IP literal, which here may have a zone: our own addresses do."""
    if host.endswith(".local"):
        return canonical_host(host) == host
    try:
        return str(ipaddress.ip_address(host)) == host
    except ValueError:
        return False


def _without_zone(host: str) -> str:
    return host.partition("%")[0]
