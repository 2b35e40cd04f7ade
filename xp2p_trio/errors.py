"""The exception tree, and the value that says why a layer broke.

Three kinds of trouble exist, and they never mix:

* `LocalError`: the caller misused the API. It is raised at the call that was wrong and nothing has changed.
* `DecodeError`: bytes or text do not parse. Only `decode_*` functions raise it; a layer catches it at its door.
* `Failure`: the peer or the path broke. It is a value inside the event `Failed`, never an exception below the driver.

Anything else that escapes is a bug.
"""

from __future__ import annotations

import enum

import attrs


class Error(Exception):
    """Root of everything this package raises on purpose."""


class LocalError(Error):
    """The caller misused the API; nothing has changed."""


class InvalidState(LocalError, RuntimeError):
    """The call does not fit the state; the text names the state and the call that fits."""


class InvalidArgument(LocalError, ValueError):
    """An argument is out of its range; the text names the value, the limit and the remedy."""


class MessageTooLarge(LocalError, ValueError):
    """A message is larger than the peer accepts (RFC 8841 section 6, `a=max-message-size`)."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(
            f"message of {size} bytes is larger than the peer's maximum of {limit} bytes; "
            "split it, or write it to channel.as_stream()"
        )
        self.size = size
        self.limit = limit


class DecodeError(Error, ValueError):
    """Bytes or text that do not parse. Raised only by `decode_*` functions."""


class SdpError(DecodeError):
    """A session description or candidate line that cannot be used.

    Attributes:
        reason: what is wrong.
        line_number: 1-based number of the line at fault, or None when something is missing.
        line: the line itself, shortened, or None.
    """

    def __init__(self, reason: str, *, line_number: int | None = None, line: str | None = None) -> None:
        where = "" if line_number is None else f"line {line_number}"
        quoted = "" if line is None else repr(line if len(line) <= 80 else line[:77] + "...")
        super().__init__(": ".join(part for part in (f"{where} {quoted}".strip(), reason) if part))
        self.reason = reason
        self.line_number = line_number
        self.line = line


class SignalError(DecodeError):
    """A text from the signaling channel that is neither a description nor a candidate."""


class InternalError(Error):
    """A bug in this package; please report it with its cause."""


class Reason(enum.StrEnum):
    """Why a layer failed."""

    NO_PATH = "no path"
    CONSENT_EXPIRED = "consent expired"
    FINGERPRINT_MISMATCH = "fingerprint mismatch"
    HANDSHAKE_TIMEOUT = "handshake timeout"
    HANDSHAKE_REFUSED = "handshake refused"
    PROTOCOL_VIOLATION = "protocol violation"
    ALERT_RECEIVED = "alert received"
    ABORT_RECEIVED = "abort received"
    REFUSED = "refused"
    PEER_UNREACHABLE = "peer unreachable"
    LIMIT_EXCEEDED = "limit exceeded"
    CLOSED_BY_PEER = "closed by peer"
    SIGNALING_LOST = "signaling lost"


@attrs.frozen
class Failure:
    """Why a layer gave up for good.

    Attributes:
        layer: the layer that failed: "stun", "turn", "ice", "dtls", "sctp" or "peer".
        reason: which class of failure it was.
        detail: one or more sentences for a person: what was tried, and what to do.
    """

    layer: str
    reason: Reason
    detail: str

    def __str__(self) -> str:
        return f"{self.layer}: {self.reason}: {self.detail}"
