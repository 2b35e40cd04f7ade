"""The payload protocol identifiers of WebRTC (RFC 8831 section 8, RFC 8832 section 8.1)."""

from __future__ import annotations

from typing import Final

DCEP: Final = 50
STRING: Final = 51
BINARY_PARTIAL: Final = 52
"""Deprecated: a part of a binary message whose last part has BINARY."""
BINARY: Final = 53
STRING_PARTIAL: Final = 54
"""Deprecated: a part of a string whose last part has STRING."""
STRING_EMPTY: Final = 56
BINARY_EMPTY: Final = 57

EMPTY_PAYLOAD: Final = b"\0"
"""SCTP has no empty messages: one zero byte goes with the PPIDs of empty ones (RFC 8831 section 6.6)."""

ALL: Final = frozenset({DCEP, STRING, BINARY_PARTIAL, BINARY, STRING_PARTIAL, STRING_EMPTY, BINARY_EMPTY})
