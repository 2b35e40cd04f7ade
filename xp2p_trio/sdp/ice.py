"""What a description says of ICE (RFC 8839 section 5; end-of-candidates by RFC 8840 section 8)."""

from __future__ import annotations

import re
from typing import Final

from xp2p_trio.errors import SdpError
from xp2p_trio.sdp.candidate import Candidate, decode_candidate
from xp2p_trio.sdp.grammar import ICE_CHARS
from xp2p_trio.sdp.session import MediaSection, Session, inherited_attribute

_OPTION_GAP: Final = re.compile(r"[ ,]+")


def username_fragment(session: Session, section: MediaSection) -> str:
    """`a=ice-ufrag`, of the section before that of the session (RFC 8839 section 5.4).

    Raises:
        SdpError: it is missing or not 4 to 256 ICE characters.
    """
    return _credential(session, section, "ice-ufrag", 4)


def password(session: Session, section: MediaSection) -> str:
    """`a=ice-pwd`, of the section before that of the session (RFC 8839 section 5.4).

    Raises:
        SdpError: it is missing or not 22 to 256 ICE characters.
    """
    return _credential(session, section, "ice-pwd", 22)


def is_credential(text: str, least: int) -> bool:
    """Whether `text` is `least` to 256 ICE characters."""
    return least <= len(text) <= 256 and ICE_CHARS.fullmatch(text) is not None


def ice_options(session: Session, section: MediaSection) -> tuple[str, ...]:
    """The tags of `a=ice-options` of both levels, each once; some peers part them by commas instead of spaces."""
    tags: dict[str, None] = {}
    for level in (section.attributes, session.attributes):
        for attribute in level:
            if attribute.name == "ice-options" and attribute.value is not None:
                tags.update(dict.fromkeys(_OPTION_GAP.split(attribute.value)))
    return tuple(tag for tag in tags if ICE_CHARS.fullmatch(tag) is not None)


def is_ice_lite(session: Session) -> bool:
    """Whether the peer is a lite implementation: a session-level attribute only (RFC 8839 section 5.3)."""
    return session.attribute("ice-lite") is not None


def decode_candidates(section: MediaSection) -> tuple[tuple[Candidate, ...], int]:
    """The candidates of a section, and how many lines were ignored because they are of no use here.

    A candidate of an unknown type, with a name for an address or outside of the grammar never spoils the others
    (RFC 8839 section 5.1).
    """
    candidates: list[Candidate] = []
    ignored = 0
    for attribute in section.attributes:
        if attribute.name == "candidate":
            try:
                candidates.append(decode_candidate(str(attribute)))
            except SdpError:
                ignored += 1
    return tuple(candidates), ignored


def is_end_of_candidates(session: Session, section: MediaSection) -> bool:
    """Whether no further candidate of this generation will come (RFC 8840 section 8)."""
    return inherited_attribute(session, section, "end-of-candidates") is not None


def _credential(session: Session, section: MediaSection, name: str, least: int) -> str:
    attribute = inherited_attribute(session, section, name)
    if attribute is None:
        raise section.error(f"a={name} is missing")
    value = attribute.value or ""
    if not is_credential(value, least):
        raise attribute.error(f"{name} is not {least} to 256 ICE characters")
    return value
