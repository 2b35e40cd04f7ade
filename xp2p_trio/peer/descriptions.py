"""What two peers say to each other before they are connected: descriptions, candidates, and their JSON forms.

The JSON is what browsers write: `RTCSessionDescriptionInit`, `RTCIceCandidateInit`, and the envelope of the "perfect
negotiation" example of the WebRTC specification, `{"description": {...}}` and `{"candidate": {...}}`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, cast, get_args

import attrs

from xp2p_trio.errors import SignalError
from xp2p_trio.sansio import Address
from xp2p_trio.sdp import Candidate, CandidateType, decode_candidate

DescriptionType: TypeAlias = Literal["offer", "answer", "pranswer", "rollback"]

MAX_SIGNAL_SIZE = 128 * 1024
"""Characters of one signal: twice the largest session description that is accepted."""


def _description_type(_instance: object, _attribute: object, value: str) -> None:
    if value not in get_args(DescriptionType):
        raise SignalError(f"description type {value!r} is none of {', '.join(get_args(DescriptionType))}")


@attrs.frozen
class SessionDescription:
    """An offer or answer (RFC 9429 section 4.1.8).

    Attributes:
        type: "offer", "answer", "pranswer" or "rollback".
        sdp: the session description (RFC 8866); empty for a rollback.
    """

    type: DescriptionType = attrs.field(validator=_description_type)
    sdp: str = attrs.field(default="", repr=lambda sdp: f"<{len(sdp)} characters>")

    def __str__(self) -> str:
        return self.sdp

    def to_json(self) -> dict[str, str]:
        """The `RTCSessionDescriptionInit` dictionary."""
        return {"type": self.type, "sdp": self.sdp}

    @classmethod
    def from_json(cls, value: object) -> SessionDescription:
        """Read an `RTCSessionDescriptionInit` dictionary.

        Raises:
            SignalError: it is not one.
        """
        members = _members(value, "description")
        return cls(cast(DescriptionType, _text(members, "type")), _text(members, "sdp", default=""))


@attrs.frozen
class IceCandidate:
    """One candidate on its way through signaling (RFC 8838, `RTCIceCandidateInit`).

    Attributes:
        candidate: the line, `candidate:...`; empty for the end of candidates of one generation.
        sdp_mid: the `a=mid` of the media section it belongs to.
        sdp_mline_index: the index of that section, if the mid is not known.
        username_fragment: the ICE generation it belongs to.
    """

    candidate: str
    sdp_mid: str | None = "0"
    sdp_mline_index: int | None = 0
    username_fragment: str | None = None

    def __str__(self) -> str:
        return self.candidate

    @property
    def parsed(self) -> Candidate:
        """The line as a value.

        Raises:
            SdpError: the line is no candidate (RFC 8839 section 5.1).
        """
        return decode_candidate(self.candidate)

    @property
    def generation(self) -> str | None:
        """The username fragment, which may be in the line alone; None where it is not told.

        Raises:
            SdpError: as `parsed`.
        """
        if self.username_fragment is None and self.candidate:
            return self.parsed.username_fragment
        return self.username_fragment

    @property
    def type(self) -> CandidateType:
        """host, srflx, prflx or relay."""
        return self.parsed.type

    @property
    def protocol(self) -> str:
        """The transport, "udp" or "tcp"."""
        return self.parsed.transport

    @property
    def address(self) -> str:
        """The IP address, or an mDNS name."""
        return self.parsed.host

    @property
    def port(self) -> int:
        """The port."""
        return self.parsed.port

    @property
    def priority(self) -> int:
        """The candidate's priority (RFC 8445 section 5.1.2)."""
        return self.parsed.priority

    @property
    def foundation(self) -> str:
        """The candidate's foundation (RFC 8445 section 5.1.1.3)."""
        return self.parsed.foundation

    @property
    def related_address(self) -> Address | None:
        """The base of a reflexive or relayed candidate, if it was told."""
        return self.parsed.related_address

    def to_json(self) -> dict[str, str | int | None]:
        """The `RTCIceCandidateInit` dictionary."""
        return {
            "candidate": self.candidate,
            "sdpMid": self.sdp_mid,
            "sdpMLineIndex": self.sdp_mline_index,
            "usernameFragment": self.username_fragment,
        }

    @classmethod
    def from_json(cls, value: object) -> IceCandidate:
        """Read an `RTCIceCandidateInit` dictionary.

        Raises:
            SignalError: it is not one.
        """
        members = _members(value, "candidate")
        index = members.get("sdpMLineIndex")
        if index is not None and (not isinstance(index, int) or not 0 <= index < 65536):
            raise SignalError(f"sdpMLineIndex is {index!r}, not an index")
        return cls(
            _text(members, "candidate"),
            _optional_text(members, "sdpMid"),
            index,
            _optional_text(members, "usernameFragment"),
        )


Signal: TypeAlias = SessionDescription | IceCandidate | None
"""What travels through signaling; None is the end of candidates."""


def encode_signal(signal: Signal) -> str:
    """Write a signal as the JSON text that the WebRTC specification's examples exchange."""
    if isinstance(signal, SessionDescription):
        return _dumps({"description": signal.to_json()})
    return _dumps({"candidate": None if signal is None else signal.to_json()})


def decode_signal(text: str) -> Signal:
    """Read a signal. Besides our own form, bare descriptions and candidates and aiortc's messages are understood.

    Raises:
        SignalError: the text is none of these.
    """
    if len(text) > MAX_SIGNAL_SIZE:
        raise SignalError(f"signal of {len(text)} characters is longer than {MAX_SIGNAL_SIZE}")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SignalError(f"signal is not JSON: {error}") from None
    members = _members(value, "signal")
    if "description" in members:
        return SessionDescription.from_json(members["description"])
    if members.get("type") == "candidate":  # aiortc's form
        return IceCandidate(_text(members, "candidate"), _optional_text(members, "id"), None)
    if "candidate" in members:
        candidate = members["candidate"]
        if candidate is None:
            return None
        return IceCandidate.from_json(members if isinstance(candidate, str) else candidate)
    if "type" in members:
        return SessionDescription.from_json(members)
    raise SignalError(f"signal has neither a description nor a candidate, only {sorted(members)[:8]}")


def _dumps(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _members(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise SignalError(f"{what} is {type(value).__name__}, not an object")
    return value


def _text(members: Mapping[str, Any], name: str, *, default: str | None = None) -> str:
    value = members.get(name, default)
    if not isinstance(value, str):
        raise SignalError(f"member {name!r} is {type(value).__name__}, not a string")
    return value


def _optional_text(members: Mapping[str, Any], name: str) -> str | None:
    return None if members.get(name) is None else _text(members, name)
