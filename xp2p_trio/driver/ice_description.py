"""The description of a transport that is ICE alone: what the offer and answer of `IceAgent` are (RFC 8839 section 5).

    v=0
    o=- <session id> <version> IN IP4 127.0.0.1
    s=-
    t=0 0
    m=application 9 udp octet-stream
    c=IN IP4 0.0.0.0
    a=ice-ufrag:...
    a=ice-pwd:...
    a=ice-options:trickle ice2 renomination
    a=candidate:...
    a=end-of-candidates

Reading is wider than writing: of any description the first media section counts, so that the offer of a whole peer
connection is read as well.
"""

from __future__ import annotations

import attrs

from xp2p_trio import sdp
from xp2p_trio.errors import SdpError


@attrs.frozen
class IceDescription:
    """What one side says of its ICE agent.

    Attributes:
        username_fragment: 4 to 256 ICE characters.
        password: 22 to 256 ICE characters.
        candidates: those known so far.
        end_of_candidates: whether there will be no more.
        ice_lite: whether this side is a lite implementation.
        renomination: whether it takes a nomination after a nomination.
    """

    username_fragment: str
    password: str = attrs.field(repr=False)
    candidates: tuple[sdp.Candidate, ...] = ()
    end_of_candidates: bool = False
    ice_lite: bool = False
    renomination: bool = True


def encode_ice_description(description: IceDescription, *, session_id: int) -> str:
    """Write the session description.

    Args:
        description: what to say.
        session_id: a random number below 2**63.
    """
    attributes = [
        sdp.Attribute("ice-ufrag", description.username_fragment),
        sdp.Attribute("ice-pwd", description.password),
        sdp.Attribute("ice-options", "trickle ice2 renomination" if description.renomination else "trickle ice2"),
    ]
    lines = (sdp.encode_candidate(candidate) for candidate in description.candidates)
    attributes += [sdp.Attribute("candidate", line.removeprefix("candidate:")) for line in lines]
    if description.end_of_candidates:
        attributes.append(sdp.Attribute("end-of-candidates"))
    # RFC 8839 section 4.2.1.2: port 9 and no address while candidates may be trickled.
    section = sdp.MediaSection(
        "application", 9, "udp", ("octet-stream",), (sdp.Field("c", "IN IP4 0.0.0.0"),), tuple(attributes)
    )
    lite = (sdp.Attribute("ice-lite"),) if description.ice_lite else ()
    return sdp.encode_session(sdp.Session(sdp.Origin(session_id=session_id), attributes=lite, media=(section,)))


def decode_ice_description(text: str) -> IceDescription:
    """Read what the first media section of a session description says of ICE.

    Raises:
        SdpError: there is no media section, or its credentials are missing or malformed; the error names the line.
    """
    session = sdp.decode_session(text)
    if not session.media:
        raise SdpError("no media section, and so no ICE credentials")
    section = sdp.transport_section(session, session.media[0])
    return IceDescription(
        sdp.username_fragment(session, section),
        sdp.password(session, section),
        sdp.decode_candidates(section)[0],
        sdp.is_end_of_candidates(session, section),
        sdp.is_ice_lite(session),
        "renomination" in sdp.ice_options(session, section),
    )
