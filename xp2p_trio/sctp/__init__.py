"""SCTP over DTLS as a sans-IO layer (RFC 9260, 3758, 6525, 7053, 7496, 9653)."""

from xp2p_trio.sctp.association import Association
from xp2p_trio.sctp.configuration import Configuration
from xp2p_trio.sctp.events import (
    AssociationEstablished,
    AssociationRestarted,
    Event,
    IncomingStreamsReset,
    MessageAbandoned,
    OutgoingStreamsReset,
    OutgoingStreamsResetDenied,
)
from xp2p_trio.sctp.messages import Message, OutgoingMessage
from xp2p_trio.sctp.state import State
from xp2p_trio.sctp.statistics import Statistics

__all__ = [
    "Association",
    "AssociationEstablished",
    "AssociationRestarted",
    "Configuration",
    "Event",
    "IncomingStreamsReset",
    "Message",
    "MessageAbandoned",
    "OutgoingMessage",
    "OutgoingStreamsReset",
    "OutgoingStreamsResetDenied",
    "State",
    "Statistics",
]
