"""What a program sees when the peer or the path broke: trio's `BrokenResourceError`, with a diagnosis."""

from __future__ import annotations

import trio

from xp2p_trio.errors import Error, Failure, Reason


class ConnectionFailed(Error, trio.BrokenResourceError):
    """The connection is dead; the text says which layer failed, what was tried and what to do.

    Attributes:
        layer: "ice", "dtls", "sctp" or "peer".
        report: the failure as a value.
    """

    def __init__(self, report: Failure) -> None:
        super().__init__(str(report))
        self.layer = report.layer
        self.report = report


class FingerprintMismatch(ConnectionFailed):
    """The peer's certificate is not the one that its description promised; nothing was delivered."""


class ConsentExpired(ConnectionFailed):
    """The peer stopped answering, so that nothing more may be sent to it (RFC 7675)."""


class RemoteClosed(ConnectionFailed):
    """The peer ended the connection."""


class ServerFull(Error):
    """A server has as many peers as it takes; it may have room later."""


REMOTE_CLOSED = Failure("peer", Reason.CLOSED_BY_PEER, "the peer closed the connection; open a new one to go on")

_CLASSES: dict[Reason, type[ConnectionFailed]] = {
    Reason.FINGERPRINT_MISMATCH: FingerprintMismatch,
    Reason.CONSENT_EXPIRED: ConsentExpired,
    Reason.CLOSED_BY_PEER: RemoteClosed,
}


def connection_failed(report: Failure) -> ConnectionFailed:
    """A new exception for the failure; each raise gets its own, so that tracebacks do not pile up."""
    return _CLASSES.get(report.reason, ConnectionFailed)(report)
