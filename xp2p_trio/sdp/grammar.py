"""The lexical rules that several attributes share (RFC 8866 section 9, RFC 8839 section 5).

Python's own notions are wider than SDP's: `int()` takes "1_0" and the digits of other scripts, `str.splitlines()`
splits on eight characters besides CR and LF. Nothing of the kind is used on a description.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from xp2p_trio.errors import SdpError

MAX_LINE_SIZE: Final = 8192
"""Characters of one line. The longest that is met in practice is a candidate or a fingerprint of some 300."""

_DIGITS: Final = re.compile(r"[0-9]{1,20}")
_SECRET_LINE: Final = re.compile(r"k=|a=(?:ice-pwd|crypto):")
_BYTE_STRING: Final = re.compile(r"[^\0\r\n]*")
_WORD: Final = re.compile(r"[^\0-\x20\x7f]+")
_PROTOCOL: Final = re.compile(r"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]+(?:/[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]+)*")
_MDNS_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.local", re.ASCII | re.IGNORECASE)

TOKEN: Final = re.compile(r"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]+")
"""RFC 8866 section 9: token."""

ICE_CHARS: Final = re.compile(r"[A-Za-z0-9+/]+")
"""RFC 8839 section 5.1: 1*ice-char."""

VISIBLE: Final = re.compile(r"[!-~]*")
"""RFC 5234 appendix B.1: *VCHAR."""


def redacted(line: str) -> str:
    """The line without the secret that it may hold, fit for an error or a log."""
    secret = _SECRET_LINE.match(line)
    return line if secret is None else f"{secret[0]}***"


def is_byte_string(text: str) -> bool:
    """RFC 8866 section 9: byte-string, or nothing: no NUL, CR or LF."""
    return _BYTE_STRING.fullmatch(text) is not None


def is_word(text: str) -> bool:
    """RFC 8866 section 9: non-ws-string."""
    return _WORD.fullmatch(text) is not None


def is_protocol(text: str) -> bool:
    """RFC 8866 section 9: proto, tokens between slashes."""
    return _PROTOCOL.fullmatch(text) is not None


def decode_integer(text: str, low: int, high: int, what: str, *, digits: int = 10) -> int:
    """One to `digits` (at most 20) ASCII digits whose value lies in `low..high`.

    Raises:
        SdpError: it is not so; `what` names the field.
    """
    if len(text) > digits or _DIGITS.fullmatch(text) is None:
        raise SdpError(f"{what} is not a number of 1 to {digits} digits")
    value = int(text)
    if not low <= value <= high:
        raise SdpError(f"{what} is {value}, outside of {low} to {high}")
    return value


def canonical_host(text: str) -> str | None:
    """The one spelling of an IP literal (RFC 5952) or of an mDNS name (in lower case); None for anything else.

    Other names are none of ours: an agent ignores candidates with an FQDN (RFC 8839 section 5.1), and resolving what a
    peer wrote would let it probe our network. The zone of a scoped address has no meaning on another node (RFC 4007
    section 11.2), so it is refused too.
    """
    if _MDNS_NAME.fullmatch(text) is not None:
        return text.lower()
    if len(text) > 45 or "%" in text:  # the longest IPv6 literal, with an embedded IPv4 one
        return None
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
