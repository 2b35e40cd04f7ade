"""Session descriptions as values and pure functions (RFC 8866, 8839, 8841, 8842, 8122, 9143)."""

from xp2p_trio.sdp.bundle import bundle_group_of, bundle_groups, mid, transport_section
from xp2p_trio.sdp.candidate import Candidate, CandidateType, decode_candidate, encode_candidate
from xp2p_trio.sdp.codec import decode_session, encode_session
from xp2p_trio.sdp.description import DataDescription, answer_session, data_description, offer_session
from xp2p_trio.sdp.dtls import FingerprintAttribute, Setup, fingerprints, setup, tls_id
from xp2p_trio.sdp.ice import (
    decode_candidates,
    ice_options,
    is_end_of_candidates,
    is_ice_lite,
    password,
    username_fragment,
)
from xp2p_trio.sdp.sctp import is_data_section, max_message_size, sctp_port
from xp2p_trio.sdp.session import Attribute, Field, MediaSection, Origin, Session

__all__ = [
    "Attribute",
    "Candidate",
    "CandidateType",
    "DataDescription",
    "Field",
    "FingerprintAttribute",
    "MediaSection",
    "Origin",
    "Session",
    "Setup",
    "answer_session",
    "bundle_group_of",
    "bundle_groups",
    "data_description",
    "decode_candidate",
    "decode_candidates",
    "decode_session",
    "encode_candidate",
    "encode_session",
    "fingerprints",
    "ice_options",
    "is_data_section",
    "is_end_of_candidates",
    "is_ice_lite",
    "max_message_size",
    "mid",
    "offer_session",
    "password",
    "sctp_port",
    "setup",
    "tls_id",
    "transport_section",
    "username_fragment",
]
