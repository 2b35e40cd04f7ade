"""SCTP associations without I/O (RFC 9260, 3758, 6525, 7496, 9653)."""

from xp2p_trio.sctp.messages import Message, OutgoingMessage

__all__ = ["Message", "OutgoingMessage"]
