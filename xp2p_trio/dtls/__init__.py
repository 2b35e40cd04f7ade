"""DTLS 1.2 (RFC 6347) as a sans-IO layer, with the identity check of WebRTC built in (RFC 8827 section 6.5)."""

from xp2p_trio.dtls.alerts import Alert, AlertDescription, AlertLevel, decode_alert, encode_alert
from xp2p_trio.dtls.certificate import Certificate
from xp2p_trio.dtls.configuration import Configuration
from xp2p_trio.dtls.connection import Connection, State
from xp2p_trio.dtls.events import Event, HandshakeCompleted
from xp2p_trio.dtls.fingerprint import (
    Fingerprint,
    decode_fingerprint,
    encode_fingerprint,
    fingerprint_certificate,
    matches_fingerprint,
)
from xp2p_trio.dtls.handshake import Fragment, Message, decode_fragments, encode_fragment
from xp2p_trio.dtls.parameters import CipherSuite, NamedGroup, Role, SignatureScheme, SrtpProfile, Version
from xp2p_trio.dtls.record import Record, decode_records
from xp2p_trio.dtls.statistics import Statistics
from xp2p_trio.sansio import Closed, Failed

__all__ = [
    "Alert",
    "AlertDescription",
    "AlertLevel",
    "Certificate",
    "CipherSuite",
    "Closed",
    "Configuration",
    "Connection",
    "Event",
    "Failed",
    "Fingerprint",
    "Fragment",
    "HandshakeCompleted",
    "Message",
    "NamedGroup",
    "Record",
    "Role",
    "SignatureScheme",
    "SrtpProfile",
    "State",
    "Statistics",
    "Version",
    "decode_alert",
    "decode_fingerprint",
    "decode_fragments",
    "decode_records",
    "encode_alert",
    "encode_fingerprint",
    "encode_fragment",
    "fingerprint_certificate",
    "matches_fingerprint",
]
