"""Alerts (RFC 5246 section 7.2).

+--------+--------+
| level  |  desc. |
+--------+--------+
"""

from __future__ import annotations

import enum

import attrs

from xp2p_trio.errors import DecodeError


class AlertLevel(enum.IntEnum):
    """How grave an alert is."""

    WARNING = 1
    FATAL = 2


class AlertDescription(enum.IntEnum):
    """What an alert says; values that are not listed stay plain integers."""

    CLOSE_NOTIFY = 0
    UNEXPECTED_MESSAGE = 10
    BAD_RECORD_MAC = 20
    RECORD_OVERFLOW = 22
    HANDSHAKE_FAILURE = 40
    BAD_CERTIFICATE = 42
    UNSUPPORTED_CERTIFICATE = 43
    CERTIFICATE_REVOKED = 44
    CERTIFICATE_EXPIRED = 45
    CERTIFICATE_UNKNOWN = 46
    ILLEGAL_PARAMETER = 47
    UNKNOWN_CA = 48
    ACCESS_DENIED = 49
    DECODE_ERROR = 50
    DECRYPT_ERROR = 51
    PROTOCOL_VERSION = 70
    INSUFFICIENT_SECURITY = 71
    INTERNAL_ERROR = 80
    USER_CANCELED = 90
    NO_RENEGOTIATION = 100
    UNSUPPORTED_EXTENSION = 110


@attrs.frozen
class Alert:
    """One alert.

    Attributes:
        level: `AlertLevel`, or the number that arrived.
        description: `AlertDescription`, or the number that arrived.
    """

    level: int
    description: int

    def __str__(self) -> str:
        try:
            return AlertDescription(self.description).name.lower()
        except ValueError:
            return f"alert {self.description}"


def decode_alert(data: bytes) -> Alert:
    """The alert in a record's fragment.

    Raises:
        DecodeError: it is not two bytes with a known level.
    """
    if len(data) != 2:
        raise DecodeError(f"an alert has 2 bytes, not {len(data)}")
    if data[0] not in (AlertLevel.WARNING, AlertLevel.FATAL):
        raise DecodeError(f"alert level {data[0]}")
    return Alert(data[0], data[1])


def encode_alert(alert: Alert) -> bytes:
    """The two bytes of an alert."""
    return bytes((alert.level, alert.description))
