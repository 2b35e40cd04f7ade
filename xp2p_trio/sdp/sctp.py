"""What a description says of SCTP over DTLS (RFC 8841), in its present and its legacy form.

    m=application 9 UDP/DTLS/SCTP webrtc-datachannel        m=application 9 DTLS/SCTP 5000
    a=sctp-port:5000                                        a=sctpmap:5000 webrtc-datachannel 65535
    a=max-message-size:262144

The legacy form is that of draft-ietf-mmusic-sctp-sdp before its version 7 and is still offered by old peers.
"""

from __future__ import annotations

import re
from typing import Final

from xp2p_trio.errors import SdpError
from xp2p_trio.sdp.grammar import decode_integer
from xp2p_trio.sdp.session import MediaSection

DEFAULT_MAX_MESSAGE_SIZE: Final = 65536
"""RFC 8841 section 6.1: 64K where the attribute is absent."""

DATA_CHANNEL_FORMAT: Final = "webrtc-datachannel"

_PROTOCOLS: Final = frozenset({"UDP/DTLS/SCTP", "TCP/DTLS/SCTP"})
_LEGACY_PROTOCOL: Final = "DTLS/SCTP"
_NUMBER: Final = re.compile(r"0|[1-9][0-9]*")


def is_legacy(section: MediaSection) -> bool:
    """Whether the section has the legacy form, in which its format is the SCTP port."""
    return section.kind == "application" and section.protocol.upper() == _LEGACY_PROTOCOL


def is_data_section(section: MediaSection) -> bool:
    """Whether the section is one for data channels, in either form, accepted or not."""
    if section.kind != "application":
        return False
    if is_legacy(section):
        return any(
            attribute.name == "sctpmap" and attribute.value is not None and DATA_CHANNEL_FORMAT in attribute.value
            for attribute in section.attributes
        )
    return section.protocol.upper() in _PROTOCOLS and DATA_CHANNEL_FORMAT in section.formats


def sctp_port(section: MediaSection) -> int:
    """`a=sctp-port`, or the port of the legacy form; 0 closes the association (RFC 8841 section 5).

    Raises:
        SdpError: it is missing, for which no default exists, or outside of the grammar.
    """
    if is_legacy(section):
        try:
            return decode_integer(section.formats[0], 0, 65535, "SCTP port")
        except SdpError as error:
            raise section.error(error.reason) from None
    port = _integer(section, "sctp-port", 65535)
    if port is None:
        raise section.error("a=sctp-port is missing")
    return port


def max_message_size(section: MediaSection) -> int:
    """`a=max-message-size` in bytes: 0 for no limit, 65536 where it is absent (RFC 8841 section 6).

    Raises:
        SdpError: it is outside of the grammar.
    """
    size = _integer(section, "max-message-size", 10**20 - 1)
    return DEFAULT_MAX_MESSAGE_SIZE if size is None else size


def _integer(section: MediaSection, name: str, high: int) -> int | None:
    attribute = section.attribute(name)
    if attribute is None:
        return None
    value = attribute.value or ""
    if _NUMBER.fullmatch(value) is None:
        raise attribute.error(f"{name} is not a number without leading zeros")
    try:
        return decode_integer(value, 0, high, name, digits=20)
    except SdpError as error:
        raise attribute.error(error.reason) from None
