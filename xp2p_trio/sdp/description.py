"""Offers and answers of an endpoint with data channels only (RFC 9429 sections 5.2 and 5.3, RFC 8841 section 10)."""

from __future__ import annotations

import attrs

from xp2p_trio.errors import InvalidArgument, SdpError
from xp2p_trio.sdp.bundle import bundle_group_of, mid, transport_section
from xp2p_trio.sdp.candidate import Candidate, encode_candidate
from xp2p_trio.sdp.dtls import FingerprintAttribute, Setup, fingerprints, is_tls_id, setup, tls_id
from xp2p_trio.sdp.grammar import ICE_CHARS, TOKEN
from xp2p_trio.sdp.ice import (
    decode_candidates,
    ice_options,
    is_credential,
    is_end_of_candidates,
    is_ice_lite,
    password,
    username_fragment,
)
from xp2p_trio.sdp.sctp import DATA_CHANNEL_FORMAT, is_data_section, is_legacy, max_message_size, sctp_port
from xp2p_trio.sdp.session import Attribute, Field, MediaSection, Origin, Session

_NO_ADDRESS = Field("c", "IN IP4 0.0.0.0")
_DISCARD_PORT = 9  # with _NO_ADDRESS: candidates are in attributes or will be trickled (RFC 9429 section 5.2.1)


@attrs.frozen(kw_only=True)
class DataDescription:
    """What one side says of its data-channel transport.

    Attributes:
        mid: the identification of the media section; "" where the peer gave none.
        username_fragment: of ICE, 4 to 256 ICE characters.
        password: of ICE, 22 to 256 ICE characters.
        ice_options: "trickle" (RFC 8838), "ice2" (RFC 8445), and others.
        ice_lite: whether this side is a lite implementation of ICE.
        fingerprints: the digests of this side's certificate, one at least.
        setup: which DTLS role this side offers or takes.
        tls_id: the identification of the DTLS association (RFC 8842).
        sctp_port: 1 to 65535.
        max_message_size: the largest message that this side takes, in bytes; 0 for no limit.
        candidates: those known so far.
        end_of_candidates: whether there will be no more.
        ignored_candidates: how many candidate lines of the peer were of no use; no part of the value.

    Raises:
        InvalidArgument: a value is outside of its grammar.
    """

    mid: str = "0"
    username_fragment: str
    password: str = attrs.field(repr=False)
    ice_options: tuple[str, ...] = ("trickle", "ice2")
    ice_lite: bool = False
    fingerprints: tuple[FingerprintAttribute, ...]
    setup: Setup
    tls_id: str | None = None
    sctp_port: int = 5000
    max_message_size: int = 262144
    candidates: tuple[Candidate, ...] = ()
    end_of_candidates: bool = False
    ignored_candidates: int = attrs.field(default=0, eq=False)

    def __attrs_post_init__(self) -> None:
        """Refuse what would not survive the description, line breaks above all."""
        checks = {
            "mid": not self.mid or TOKEN.fullmatch(self.mid) is not None,
            "username_fragment": is_credential(self.username_fragment, 4),
            "password": is_credential(self.password, 22),
            "ice_options": all(ICE_CHARS.fullmatch(tag) is not None for tag in self.ice_options),
            "fingerprints": bool(self.fingerprints),
            "tls_id": self.tls_id is None or is_tls_id(self.tls_id),
            "sctp_port": 1 <= self.sctp_port <= 65535,
            "max_message_size": 0 <= self.max_message_size < 10**20,
        }
        for name, sound in checks.items():
            if not sound:
                raise InvalidArgument(f"{name} is outside of its grammar or range")


def offer_session(
    local: DataDescription, *, session_id: int, session_version: int, previous: Session | None = None
) -> Session:
    """An offer of one media section for data channels.

    Args:
        local: this side's transport; its setup should be `Setup.ACTPASS` (RFC 8842 section 5.2).
        session_id: a random number below 2**63 (RFC 9429 section 5.2.1), the same for the life of a connection.
        session_version: one more with each description that differs.
        previous: this side's last description, if there was an exchange before: the offer keeps its sections and their
            order, those that are not for data stay rejected (RFC 9429 section 5.2.2).
    """
    if previous is not None:
        return _described(previous, local, session_id, session_version)
    section = MediaSection(
        "application",
        _DISCARD_PORT,
        "UDP/DTLS/SCTP",
        (DATA_CHANNEL_FORMAT,),
        (_NO_ADDRESS,),
        _section_attributes(local, legacy=False),
    )
    return _session(local, (section,), session_id, session_version, bundled=bool(local.mid))


def answer_session(offer: Session, local: DataDescription, *, session_id: int, session_version: int) -> Session:
    """The answer to `offer`: its first acceptable section for data channels accepted, every other one rejected.

    The accepted section takes its mid and protocol from the offer, whatever `local.mid` says. Nothing else of the
    offer is echoed.

    Raises:
        SdpError: the offer has no acceptable section for data channels.
    """
    return _described(offer, local, session_id, session_version)


def data_description(session: Session) -> DataDescription:
    """What the peer says of its data-channel transport, in an offer or an answer.

    Raises:
        SdpError: there is no acceptable section for data channels, or something of it is missing or malformed; the
            error names the line.
    """
    section = _data_section(session)
    transport = transport_section(session, section)
    candidates, ignored = decode_candidates(transport)
    return DataDescription(
        mid=mid(section),
        username_fragment=username_fragment(session, transport),
        password=password(session, transport),
        ice_options=ice_options(session, transport),
        ice_lite=is_ice_lite(session),
        fingerprints=fingerprints(session, transport),
        setup=setup(session, transport),
        tls_id=tls_id(transport),
        sctp_port=sctp_port(section),
        max_message_size=max_message_size(section),
        candidates=candidates,
        end_of_candidates=is_end_of_candidates(session, transport),
        ignored_candidates=ignored,
    )


def _data_section(session: Session) -> MediaSection:
    """The first section for data channels that can be accepted, or the error of the first that can not."""
    refusals: list[SdpError] = []
    for section in session.media:
        if not is_data_section(section):
            continue
        try:
            if section.port == 0 and section.attribute("bundle-only") is None:
                raise section.error("the section for data channels is rejected: its port is 0")
            if sctp_port(section) == 0:
                raise section.error("sctp-port 0 closes the association (RFC 8841 section 5)")
        except SdpError as error:
            refusals.append(error)
        else:
            return section
    if refusals:
        raise refusals[0]
    raise SdpError(f"no media section for data channels (m=application ... UDP/DTLS/SCTP {DATA_CHANNEL_FORMAT})")


def _described(known: Session, local: DataDescription, session_id: int, session_version: int) -> Session:
    """The sections of a known description, the one for data as `local` says and every other one rejected."""
    accepted = _data_section(known)
    local = attrs.evolve(local, mid=mid(accepted))
    media = tuple(_section(section, local, accept=section is accepted) for section in known.media)
    # RFC 9143 section 7.3: only mids of the group that is there, none of a rejected section.
    bundled = bool(bundle_group_of(known, accepted))
    return _session(local, media, session_id, session_version, bundled=bundled)


def _session(
    local: DataDescription, media: tuple[MediaSection, ...], session_id: int, session_version: int, *, bundled: bool
) -> Session:
    attributes = [Attribute("group", f"BUNDLE {local.mid}")] if bundled else []
    if local.ice_lite:
        attributes.append(Attribute("ice-lite"))
    return Session(
        Origin(session_id=session_id, session_version=session_version), attributes=tuple(attributes), media=media
    )


def _section(known: MediaSection, local: DataDescription, *, accept: bool) -> MediaSection:
    if not accept:
        attributes = [Attribute("mid", mid(known))] if known.attribute("mid") is not None else []
        if known.kind in ("audio", "video"):
            attributes.append(Attribute("inactive"))
        return MediaSection(known.kind, 0, known.protocol, known.formats, (_NO_ADDRESS,), tuple(attributes))
    legacy = is_legacy(known)
    return MediaSection(
        known.kind,
        _DISCARD_PORT,
        known.protocol,
        (str(local.sctp_port) if legacy else DATA_CHANNEL_FORMAT,),
        (_NO_ADDRESS,),
        _section_attributes(local, legacy=legacy),
    )


def _section_attributes(local: DataDescription, *, legacy: bool) -> tuple[Attribute, ...]:
    attributes = [
        Attribute("ice-ufrag", local.username_fragment),
        Attribute("ice-pwd", local.password),
        *([Attribute("ice-options", " ".join(local.ice_options))] if local.ice_options else []),
        *(Attribute("fingerprint", str(fingerprint)) for fingerprint in local.fingerprints),
        Attribute("setup", local.setup.value),
        *([Attribute("tls-id", local.tls_id)] if local.tls_id is not None else []),
        *([Attribute("mid", local.mid)] if local.mid else []),
        Attribute("sctpmap", f"{local.sctp_port} {DATA_CHANNEL_FORMAT} 65535")
        if legacy
        else Attribute("sctp-port", str(local.sctp_port)),
        Attribute("max-message-size", str(local.max_message_size)),
    ]
    lines = (encode_candidate(candidate) for candidate in local.candidates)
    attributes.extend(Attribute("candidate", line.removeprefix("candidate:")) for line in lines)
    if local.end_of_candidates:
        attributes.append(Attribute("end-of-candidates"))
    return tuple(attributes)
