"""Text to `Session` and back (RFC 8866 section 9).

    v=0
    o=<username> <session id> <session version> <network type> <address type> <address>
    s=<name>
    <i u e p c b t r z k: fields>
    <a: attributes of the session>
    m=<kind> <port>[/<count>] <protocol> <format>...
    <i c b k: fields>
    <a: attributes of the section>

A line that is none of these is kept as a field; one without a letter and "=" is an error. Lines end with CRLF, and a
lone LF is taken too. Limits: 64 Ki characters, 1,000 lines of 8 Ki characters, 32 media sections.
"""

from __future__ import annotations

import itertools
import re
from typing import Final

from xp2p_trio.errors import SdpError
from xp2p_trio.sdp.grammar import MAX_LINE_SIZE, TOKEN, decode_integer, is_byte_string, is_protocol, is_word, redacted
from xp2p_trio.sdp.session import Attribute, Field, MediaSection, Origin, Session

MAX_SIZE: Final = 64 * 1024
MAX_LINES: Final = 1000
MAX_MEDIA: Final = 32

_LINE_END: Final = re.compile(r"\r?\n")
_LINE: Final = re.compile(r"[a-z]=")


def decode_session(text: str) -> Session:
    """Parse a session description.

    Raises:
        SdpError: it is not one, or it is larger than the limits; the error names the line.
    """
    if len(text) > MAX_SIZE:
        raise SdpError(f"description of {len(text)} characters, where {MAX_SIZE} are allowed")
    if text.count("\n") > MAX_LINES:
        raise SdpError(f"description of more than {MAX_LINES} lines")
    lines = [(number, line) for number, line in enumerate(_LINE_END.split(text), 1) if line]
    for number, line in lines:
        try:
            _check_line(line)
        except SdpError as error:
            raise SdpError(error.reason, line_number=number, line=redacted(line)) from None
    for index, expected in enumerate("vos"):
        if index >= len(lines) or lines[index][1][0] != expected:
            reason = f'expected the line "{expected}="'
            if index >= len(lines):
                raise SdpError(reason)
            raise SdpError(reason, line_number=lines[index][0], line=redacted(lines[index][1]))
    if lines[0][1] != "v=0":
        raise SdpError("version is not 0", line_number=lines[0][0], line=lines[0][1])
    return _assemble(lines)


def encode_session(session: Session) -> str:
    """Write a session description, each line ended by CRLF."""
    origin = session.origin
    lines = [
        "v=0",
        " ".join(
            (
                f"o={origin.username}",
                str(origin.session_id),
                str(origin.session_version),
                origin.network_type,
                origin.address_type,
                origin.address,
            )
        ),
        f"s={session.name}",
    ]
    lines += [str(field) for field in session.fields]
    lines += [str(attribute) for attribute in session.attributes]
    for section in session.media:
        lines.append(str(section))
        lines += [str(field) for field in section.fields]
        lines += [str(attribute) for attribute in section.attributes]
    return "\r\n".join([*lines, ""])


def _check_line(line: str) -> None:
    if len(line) > MAX_LINE_SIZE:
        raise SdpError(f"line of {len(line)} characters, where {MAX_LINE_SIZE} are allowed")
    if _LINE.match(line) is None:
        raise SdpError('a line is a lower-case letter, "=" and a value')
    if not is_byte_string(line):
        raise SdpError("a carriage return or a NUL within the line")


def _assemble(lines: list[tuple[int, str]]) -> Session:
    """Sort lines that each are well-formed into the session and its media sections."""
    starts = [index for index, (_, line) in enumerate(lines) if line[0] == "m"]
    if len(starts) > MAX_MEDIA:
        number, line = lines[starts[MAX_MEDIA]]
        raise SdpError(f"more than {MAX_MEDIA} media sections", line_number=number, line=line)
    fields, attributes = _decode_block(lines[3 : starts[0] if starts else None])
    media: list[MediaSection] = []
    for start, stop in itertools.pairwise([*starts, len(lines)]):
        number, line = lines[start]
        own_fields, own_attributes = _decode_block(lines[start + 1 : stop])
        try:
            media.append(_decode_media(line[2:], own_fields, own_attributes, number))
        except SdpError as error:
            raise SdpError(error.reason, line_number=number, line=line) from None
    number, line = lines[1]
    try:
        origin = _decode_origin(line[2:])
    except SdpError as error:
        raise SdpError(error.reason, line_number=number, line=line) from None
    return Session(origin, lines[2][1][2:], fields, attributes, tuple(media))


def _decode_block(lines: list[tuple[int, str]]) -> tuple[tuple[Field, ...], tuple[Attribute, ...]]:
    """The fields and the attributes of one level, each in their order."""
    fields: list[Field] = []
    attributes: list[Attribute] = []
    for number, line in lines:
        kind, value = line[0], line[2:]
        if kind == "a":
            name, colon, rest = value.partition(":")
            attributes.append(Attribute(name, rest if colon else None, number))
        elif kind in "vos":
            raise SdpError(f'a second "{kind}=" line', line_number=number, line=line)
        else:
            fields.append(Field(kind, value))
    return tuple(fields), tuple(attributes)


def _decode_origin(text: str) -> Origin:
    words = text.split(" ")
    if len(words) != 6 or not all(is_word(word) for word in words):
        raise SdpError("an origin has six fields")
    username, session_id, session_version, network_type, address_type, address = words
    return Origin(
        username,
        decode_integer(session_id, 0, 10**20 - 1, "session id", digits=20),
        decode_integer(session_version, 0, 10**20 - 1, "session version", digits=20),
        network_type,
        address_type,
        address,
    )


def _decode_media(
    text: str, fields: tuple[Field, ...], attributes: tuple[Attribute, ...], line_number: int
) -> MediaSection:
    kind, *words = text.split(" ")
    if len(words) < 3:
        raise SdpError("a media section has a kind, a port, a protocol and a format")
    ports, protocol, *formats = words
    port, slash, count = ports.partition("/")
    if not is_protocol(protocol) or not all(TOKEN.fullmatch(token) for token in (kind, *formats)):
        raise SdpError("the kind, the protocol or a format of the media section is not a token")
    return MediaSection(
        kind,
        decode_integer(port, 0, 65535, "port"),
        protocol,
        tuple(formats),
        fields,
        attributes,
        decode_integer(count, 1, 65535, "number of ports") if slash else None,
        line_number,
    )
