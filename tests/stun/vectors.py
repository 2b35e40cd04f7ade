"""The sample messages of the RFCs."""

from __future__ import annotations

import pathlib

VECTORS = pathlib.Path(__file__).parents[1] / "vectors"


def read_vectors(name: str) -> dict[str, bytes]:
    """Messages by their name, from hex under `[name]` headings."""
    messages: dict[str, bytes] = {}
    heading = ""
    for line in (VECTORS / name).read_text().splitlines():
        if line.startswith("["):
            heading = line.strip("[]")
            messages[heading] = b""
        elif line and not line.startswith("#"):
            messages[heading] += bytes.fromhex(line)
    return messages


RFC5769 = read_vectors("rfc5769.txt")
RFC8489 = read_vectors("rfc8489.txt")
