"""A session description as values (RFC 8866 section 5): lines in order, none lost, none interpreted."""

from __future__ import annotations

import attrs

from xp2p_trio.errors import InvalidArgument, SdpError
from xp2p_trio.sdp.grammar import TOKEN, is_byte_string, is_protocol, is_word, redacted


def _check_text(_instance: object, attribute: attrs.Attribute[str], value: str) -> None:
    if not is_byte_string(value):
        raise InvalidArgument(f"{attribute.name} has a line break or a NUL, which RFC 8866 section 9 excludes")


def _check_name(_instance: object, _attribute: attrs.Attribute[str], value: str) -> None:
    if ":" in value or not is_byte_string(value):
        raise InvalidArgument(f"attribute name {value!r} has a colon, a line break or a NUL")


def _check_kind(_instance: object, _attribute: attrs.Attribute[str], value: str) -> None:
    if len(value) != 1 or not ("a" <= value <= "z") or value in "vosma":
        raise InvalidArgument(f"field {value!r} is not one lower-case letter other than v, o, s, m and a")


@attrs.frozen
class Attribute:
    """`a=<name>` or `a=<name>:<value>`.

    Attributes:
        name: what stands before the first colon.
        value: what stands behind it; None when there is no colon.
        line_number: where a decoded attribute stood, 0 for one that was made; no part of its value.
    """

    name: str = attrs.field(validator=_check_name)
    value: str | None = attrs.field(default=None, validator=attrs.validators.optional(_check_text))
    line_number: int = attrs.field(default=0, eq=False, repr=False)

    def __repr__(self) -> str:
        """The secret of an `ice-pwd` or `crypto` attribute is left out."""
        return f"Attribute({redacted(str(self))!r})"

    def __str__(self) -> str:
        return f"a={self.name}" if self.value is None else f"a={self.name}:{self.value}"

    def error(self, reason: str) -> SdpError:
        """An error that names this line, without its secret."""
        return SdpError(reason, line_number=self.line_number or None, line=redacted(str(self)))


@attrs.frozen
class Field:
    """A line of a type that nothing here depends on: `<kind>=<value>`; `c`, `t`, `b`, `i` and whatever else came.

    Attributes:
        kind: one letter.
        value: the rest of the line behind the "=".
    """

    kind: str = attrs.field(validator=_check_kind)
    value: str = attrs.field(validator=_check_text)

    def __repr__(self) -> str:
        """The key of a `k=` line is left out."""
        return f"Field({redacted(str(self))!r})"

    def __str__(self) -> str:
        return f"{self.kind}={self.value}"


@attrs.frozen
class Origin:
    """The `o=` line (RFC 8866 section 5.2).

    Attributes:
        username: "-" where there is none.
        session_id: up to 20 digits.
        session_version: grows with each change of the description.
        network_type: "IN".
        address_type: "IP4" or "IP6".
        address: of the host that made the session; without meaning in WebRTC.
    """

    username: str = "-"
    session_id: int = 0
    session_version: int = 0
    network_type: str = "IN"
    address_type: str = "IP4"
    address: str = "127.0.0.1"

    def __attrs_post_init__(self) -> None:
        """Refuse what would not survive the line."""
        words = (self.username, self.network_type, self.address_type, self.address)
        numbers = (self.session_id, self.session_version)
        if not all(is_word(word) for word in words) or not all(0 <= number < 10**20 for number in numbers):
            raise InvalidArgument(f"{self!r} is outside of the grammar of RFC 8866 section 9")


@attrs.frozen
class MediaSection:
    """One `m=` line and what belongs to it (RFC 8866 section 5.14).

    Attributes:
        kind: "application", "audio", "video", ...
        port: 0 marks a rejected section, or a bundle-only one in an offer.
        protocol: "UDP/DTLS/SCTP" and the like.
        formats: at least one; "webrtc-datachannel" for data channels.
        fields: the lines between `m=` and the attributes, in order.
        attributes: the `a=` lines in order.
        port_count: the number behind the slash of the port, where there is one.
        line_number: where a decoded section began, 0 for one that was made; no part of its value.
    """

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    fields: tuple[Field, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    port_count: int | None = None
    line_number: int = attrs.field(default=0, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Refuse what would not survive the line."""
        sound = (
            TOKEN.fullmatch(self.kind) is not None
            and 0 <= self.port <= 65535
            and is_protocol(self.protocol)
            and bool(self.formats)
            and all(TOKEN.fullmatch(name) is not None for name in self.formats)
            and (self.port_count is None or 1 <= self.port_count <= 65535)
        )
        if not sound:
            raise InvalidArgument(f"m={self.kind} {self.port} {self.protocol} is outside of the grammar of RFC 8866")

    def attribute(self, name: str) -> Attribute | None:
        """The first attribute of that name."""
        return first_attribute(self.attributes, name)

    def error(self, reason: str) -> SdpError:
        """An error that names the `m=` line."""
        return SdpError(reason, line_number=self.line_number or None, line=str(self))

    def __str__(self) -> str:
        """The `m=` line."""
        count = "" if self.port_count is None else f"/{self.port_count}"
        return f"m={self.kind} {self.port}{count} {self.protocol} {' '.join(self.formats)}"


@attrs.frozen
class Session:
    """A whole session description.

    Attributes:
        origin: the `o=` line.
        name: the `s=` line; "-" where there is none.
        fields: the other lines before the attributes, the timing `t=0 0` among them, in order.
        attributes: the session-level `a=` lines in order.
        media: the media sections in order.
    """

    origin: Origin = Origin()
    name: str = attrs.field(default="-", validator=_check_text)
    fields: tuple[Field, ...] = (Field("t", "0 0"),)
    attributes: tuple[Attribute, ...] = ()
    media: tuple[MediaSection, ...] = ()

    def attribute(self, name: str) -> Attribute | None:
        """The first session-level attribute of that name."""
        return first_attribute(self.attributes, name)


def first_attribute(attributes: tuple[Attribute, ...], name: str) -> Attribute | None:
    """The first attribute of that name; names are case-sensitive (RFC 8866 section 5.13)."""
    return next((attribute for attribute in attributes if attribute.name == name), None)


def inherited_attribute(session: Session, section: MediaSection, name: str) -> Attribute | None:
    """The attribute of the section or, where it has none, of the session."""
    return section.attribute(name) or session.attribute(name)
