"""ICE (RFC 8445) with trickle (RFC 8838), patience (RFC 8863) and consent freshness (RFC 7675)."""

from xp2p_trio.ice.agent import Agent
from xp2p_trio.ice.candidates import candidate_priority
from xp2p_trio.ice.configuration import CONSENT_EXPIRY, CONSENT_INTERVAL, Configuration
from xp2p_trio.ice.events import (
    AddressesRequested,
    CandidateFound,
    Event,
    GatheringCompleted,
    PairSelected,
    PathLost,
    PathRecovered,
    StateChanged,
)
from xp2p_trio.ice.pair import CandidatePair, PairReport, PairState, pair_priority
from xp2p_trio.ice.state import TRANSITIONS, Input, Role, State
from xp2p_trio.ice.statistics import Statistics
from xp2p_trio.sdp import Candidate, CandidateType, decode_candidate, encode_candidate

__all__ = [
    "CONSENT_EXPIRY",
    "CONSENT_INTERVAL",
    "TRANSITIONS",
    "AddressesRequested",
    "Agent",
    "Candidate",
    "CandidateFound",
    "CandidatePair",
    "CandidateType",
    "Configuration",
    "Event",
    "GatheringCompleted",
    "Input",
    "PairReport",
    "PairSelected",
    "PairState",
    "PathLost",
    "PathRecovered",
    "Role",
    "State",
    "StateChanged",
    "Statistics",
    "candidate_priority",
    "decode_candidate",
    "encode_candidate",
    "pair_priority",
]
