"""Names of hosts on the local link: one label before `.local`, and nothing else.

A name with more labels, or of another domain, is never asked for: it could lead to whoever answers for that domain.
"""

from __future__ import annotations

import re
from typing import Final

from xp2p_trio.mdns.wire import Name
from xp2p_trio.sansio import RandomBytes

_NAME: Final = re.compile(r"[a-z0-9-]{1,63}\.local")  # RFC 1035 section 2.3.4: 63 octets a label


def canonical_name(text: str) -> str | None:
    """The name in lower case (RFC 6762 section 16); None for anything but `label.local`."""
    if not text.isascii() or _NAME.fullmatch(name := text.lower()) is None:
        return None
    return name


def random_name(random_bytes: RandomBytes) -> str:
    """A new name as browsers make them: `<uuid>.local`, the UUID of version 4 (RFC 9562 section 5.4)."""
    raw = bytearray(random_bytes(16))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    digits = raw.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}.local"


def to_labels(name: str) -> Name:
    """The labels of a canonical name."""
    return tuple(name.encode("ascii").split(b"."))


def from_labels(labels: Name) -> str | None:
    """The canonical name of these labels, or None if they are none."""
    if len(labels) != 2:
        return None
    try:
        return canonical_name(b".".join(labels).decode("ascii"))
    except UnicodeDecodeError:
        return None
