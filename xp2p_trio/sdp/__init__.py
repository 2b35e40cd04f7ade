"""Session descriptions as values and pure functions (RFC 8866, 8839, 8841, 8842, 8122, 9143)."""

from xp2p_trio.sdp.candidate import Candidate, CandidateType, decode_candidate, encode_candidate

__all__ = ["Candidate", "CandidateType", "decode_candidate", "encode_candidate"]
