"""Which transport a media section has: mid (RFC 5888 section 4) and BUNDLE groups (RFC 9143)."""

from __future__ import annotations

from xp2p_trio.sdp.grammar import TOKEN
from xp2p_trio.sdp.session import MediaSection, Session


def mid(section: MediaSection) -> str:
    """`a=mid`, or "" where the section has none.

    Raises:
        SdpError: it is not a token.
    """
    attribute = section.attribute("mid")
    if attribute is None:
        return ""
    value = attribute.value or ""
    if TOKEN.fullmatch(value) is None:
        raise attribute.error("mid is not a token")
    return value


def bundle_groups(session: Session) -> tuple[tuple[str, ...], ...]:
    """The mids of each `a=group:BUNDLE`, in order."""
    values = (attribute.value or "" for attribute in session.attributes if attribute.name == "group")
    words = (value.split() for value in values)
    return tuple(tuple(group[1:]) for group in words if group and group[0] == "BUNDLE")


def bundle_group_of(session: Session, section: MediaSection) -> tuple[str, ...]:
    """The mids of the group that the section is in; empty where it is in none."""
    name = mid(section)
    return next((group for group in bundle_groups(session) if name and name in group), ())


def transport_section(session: Session, section: MediaSection) -> MediaSection:
    """Where the ICE and DTLS attributes of `section` stand.

    A bundled section may leave them to the first one of its group (RFC 9143 section 7.1.3); its own are preferred,
    since that first one may be of a kind that a data-only endpoint rejects.
    """
    group = bundle_group_of(session, section)
    if not group or section.attribute("ice-ufrag") is not None:
        return section
    tagged = next((other for other in session.media if mid(other) == group[0]), section)
    return section if tagged.attribute("ice-ufrag") is None else tagged
