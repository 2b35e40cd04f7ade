"""ICE (RFC 8445) with trickle (RFC 8838), patience (RFC 8863) and consent freshness (RFC 7675)."""

from xp2p_trio.ice.agent import Agent
from xp2p_trio.ice.candidates import candidate_priority
from xp2p_trio.ice.configuration import CONSENT_EXPIRY, CONSENT_INTERVAL, Configuration
from xp2p_trio.ice.demultiplexing import Demultiplexer, DemultiplexerStatistics, UnknownPeer
from xp2p_trio.ice.events import (
    AddressesRequested,
    CandidateFound,
    Event,
    GatheringCompleted,
    NamePublished,
    NameRequested,
    PairSelected,
    PathLost,
    PathRecovered,
    ServerFailed,
    StateChanged,
    StreamReleased,
    StreamRequested,
    StreamRequestWithdrawn,
    TurnCredentialsRequested,
)
from xp2p_trio.ice.facts import NatMapping, NetworkFacts, Outcome, ServerFacts, Sighting
from xp2p_trio.ice.pair import CandidatePair, PairReport, PairState, pair_priority
from xp2p_trio.ice.relay import TurnServer
from xp2p_trio.ice.session import draw_credentials
from xp2p_trio.ice.state import TRANSITIONS, Input, Role, State
from xp2p_trio.ice.statistics import Statistics
from xp2p_trio.ice.verdict import Reach, Verdict, explain
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
    "Demultiplexer",
    "DemultiplexerStatistics",
    "Event",
    "GatheringCompleted",
    "Input",
    "NamePublished",
    "NameRequested",
    "NatMapping",
    "NetworkFacts",
    "Outcome",
    "PairReport",
    "PairSelected",
    "PairState",
    "PathLost",
    "PathRecovered",
    "Reach",
    "Role",
    "ServerFacts",
    "ServerFailed",
    "Sighting",
    "State",
    "StateChanged",
    "Statistics",
    "StreamReleased",
    "StreamRequestWithdrawn",
    "StreamRequested",
    "TurnCredentialsRequested",
    "TurnServer",
    "UnknownPeer",
    "Verdict",
    "candidate_priority",
    "decode_candidate",
    "draw_credentials",
    "encode_candidate",
    "explain",
    "pair_priority",
]
