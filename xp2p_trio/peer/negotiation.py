"""Offer and answer (RFC 9429) for the one data-channel section: who is who, and what both sides agreed on.

The negotiator turns local facts into descriptions and two applied descriptions into an `Agreement`. It knows nothing of
sockets, timers or the state of the transport.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias, final

import attrs

from xp2p_trio import dtls
from xp2p_trio.errors import InvalidArgument, SdpError
from xp2p_trio.peer.descriptions import DescriptionType, IceCandidate, SessionDescription
from xp2p_trio.peer.signaling import Side, SignalingState, next_state
from xp2p_trio.sdp import (
    Candidate,
    DataDescription,
    Session,
    Setup,
    answer_session,
    data_description,
    decode_session,
    encode_candidate,
    encode_session,
    offer_session,
)
from xp2p_trio.sdp import (
    mid as section_mid,
)

Describe: TypeAlias = Callable[[], DataDescription]
"""What our side of the transport has to say now; the negotiator fills in mid, setup and the rest of the exchange."""

DrawCredentials: TypeAlias = Callable[[], tuple[str, str]]
"""A new username fragment and password, for an ICE restart."""


@attrs.frozen
class Agreement:
    """What one completed exchange says of the transport.

    Attributes:
        remote: the peer's transport, as its description has it.
        is_offerer: whether the first offer was ours; it makes us the controlling agent (RFC 8445 section 6.1.1).
        is_dtls_client: whether we are the active side of DTLS (RFC 8842 section 5.3).
    """

    remote: DataDescription
    is_offerer: bool
    is_dtls_client: bool


@attrs.frozen
class _Applied:
    """One description that was applied: its kind, and its parsed form."""

    kind: DescriptionType
    session: Session
    data: DataDescription


_ROLES: Final[dict[Setup, Setup]] = {
    Setup.ACTPASS: Setup.ACTIVE,  # RFC 8842 section 5.3 leaves the choice; active saves half a round trip
    Setup.ACTIVE: Setup.PASSIVE,
    Setup.PASSIVE: Setup.ACTIVE,
}


@final
class Negotiator:
    """The signaling side of one connection."""

    def __init__(self, session_id: int, describe: Describe, draw_credentials: DrawCredentials) -> None:
        """Start in the stable state.

        Args:
            session_id: the `o=` line's session id, random below 2**62 (RFC 9429 section 5.2.1).
            describe: asked at each description what our transport has to say.
            draw_credentials: asked when ICE is restarted.
        """
        self._session_id = session_id
        self._session_version = 0
        self._describe = describe
        self._draw_credentials = draw_credentials
        self._wants_restart = False
        self._state = SignalingState.STABLE
        self._created: dict[str, SessionDescription] = {}
        self._local: _Applied | None = None
        self._remote: _Applied | None = None
        self._before_offer: tuple[_Applied | None, _Applied | None] = (None, None)
        self._agreement: Agreement | None = None

    @property
    def state(self) -> SignalingState:
        """Where the exchange stands."""
        return self._state

    @property
    def agreement(self) -> Agreement | None:
        """What was agreed on, once both descriptions are known."""
        return self._agreement

    @property
    def needs_offer(self) -> bool:
        """Whether an ICE restart is wanted and an offer may say so now."""
        return self._wants_restart and self._state is SignalingState.STABLE and self._agreement is not None

    @property
    def local_data(self) -> DataDescription | None:
        """What our last applied description says of our transport."""
        return None if self._local is None else self._local.data

    def restart_ice(self) -> None:
        """Let the next offer restart ICE, unless an offer of the peer does so before."""
        self._wants_restart = self._agreement is not None

    @property
    def local_description(self) -> SessionDescription | None:
        """Our last applied description, with the candidates that were found since."""
        if self._local is None:
            return None
        local, now = self._local, self._describe()
        data = attrs.evolve(local.data, candidates=now.candidates, end_of_candidates=now.end_of_candidates)
        # Over its own sections: those of the offer that it answers may have changed since.
        version = local.session.origin.session_version
        session = offer_session(data, session_id=self._session_id, session_version=version, previous=local.session)
        return SessionDescription(local.kind, encode_session(session))

    @property
    def remote_description(self) -> SessionDescription | None:
        """The peer's last applied description."""
        if self._remote is None:
            return None
        return SessionDescription(self._remote.kind, encode_session(self._remote.session))

    def create_offer(self) -> SessionDescription:
        """Write an offer; it takes effect when it is applied.

        Raises:
            InvalidState: an offer of the peer waits for an answer, or the connection is closed.
        """
        next_state(self._state, Side.LOCAL, "offer")
        current = self._local if self._state is SignalingState.STABLE else self._before_offer[0]
        data = attrs.evolve(self._describe(), setup=Setup.ACTPASS)
        if current is not None:  # RFC 8842 section 5.5: what identifies the DTLS association stays
            data = attrs.evolve(data, mid=current.data.mid, tls_id=current.data.tls_id)
        if self._wants_restart:
            data = self._renewed(data)
        session = offer_session(
            data,
            session_id=self._session_id,
            session_version=self._session_version + 1,
            previous=None if current is None else current.session,
        )
        return self._create("offer", session)

    def create_answer(self) -> SessionDescription:
        """Write an answer to the applied offer.

        Raises:
            InvalidState: there is no offer to answer.
        """
        next_state(self._state, Side.LOCAL, "answer")
        assert self._remote is not None
        offer = self._remote.data
        if self._agreement is None:
            setup = _ROLES[offer.setup]
        else:  # RFC 8842 section 5.3: a later answer does not change the roles
            setup = Setup.ACTIVE if self._agreement.is_dtls_client else Setup.PASSIVE
        local = self._describe()
        if self._agreement is not None and _restarts(self._remote, self._agreement.remote):
            local = self._renewed(local)
        # RFC 8842 section 5.3: without a tls-id in the offer the answer has none
        tls_id = local.tls_id if offer.tls_id is not None else None
        # RFC 9429 section 5.3.1: only options that the offer has
        ice_options = tuple(option for option in local.ice_options if option in offer.ice_options)
        session = answer_session(
            self._remote.session,
            attrs.evolve(local, setup=setup, tls_id=tls_id, ice_options=ice_options),
            session_id=self._session_id,
            session_version=self._session_version + 1,
        )
        return self._create("answer", session)

    def apply_local(self, description: SessionDescription | None) -> SessionDescription:
        """Apply our own description; None means the one that the state calls for.

        Returns:
            The description as applied.

        Raises:
            InvalidState: it does not fit the state.
            InvalidArgument: it is not the one that was created last.
        """
        if description is None:
            wants_answer = self._state in (SignalingState.HAVE_REMOTE_OFFER, SignalingState.HAVE_LOCAL_PRANSWER)
            description = self.create_answer() if wants_answer else self.create_offer()
        state = next_state(self._state, Side.LOCAL, description.type)
        if description.type == "rollback":
            self._roll_back(state)
            return description
        created = self._created.get("offer" if description.type == "offer" else "answer")
        if created is None or description.sdp not in ("", created.sdp):
            raise InvalidArgument(
                f"the {description.type} is not the one that was created last; "
                "apply what create_offer() or create_answer() returned, unchanged"
            )
        applied = _applied(description.type, created.sdp)
        if description.type == "offer" and self._state is SignalingState.STABLE:
            self._before_offer = (self._local, self._remote)
        self._local = applied
        self._enter(state)
        self._agree()
        return SessionDescription(description.type, created.sdp)

    def apply_remote(self, description: SessionDescription) -> None:
        """Apply the peer's description.

        Raises:
            InvalidState: it does not fit the state.
            SdpError: it cannot be used; nothing has changed.
        """
        state = next_state(self._state, Side.REMOTE, description.type)
        if description.type == "rollback":
            self._roll_back(state)
            return
        applied = _applied(description.type, description.sdp)
        if description.type == "offer":
            if applied.data.setup is Setup.HOLDCONN:
                raise SdpError("a=setup:holdconn offers no connection; the offer must have actpass, active or passive")
        elif applied.data.setup not in (Setup.ACTIVE, Setup.PASSIVE):
            raise SdpError(f"a=setup:{applied.data.setup} cannot answer; an answer is active or passive")
        if not any(dtls.Fingerprint(each.algorithm, each.value).is_usable for each in applied.data.fingerprints):
            names = ", ".join(each.algorithm for each in applied.data.fingerprints)
            raise SdpError(f"a=fingerprint has no hash that can be trusted ({names}); sha-256 or better is needed")
        self._require_same_transport(applied)
        if description.type == "offer" and self._state is SignalingState.STABLE:
            self._before_offer = (self._local, self._remote)
        self._remote = applied
        self._enter(state)
        self._agree()
        if description.type == "answer":
            self._give_up_refused_restart()

    @property
    def remote_data(self) -> DataDescription | None:
        """What the peer's last applied description says of its transport."""
        return None if self._remote is None else self._remote.data

    def is_ours(self, candidate: IceCandidate) -> bool:
        """Whether a trickled candidate, or the end of candidates, is of the transport that carries the data channels.

        A peer that offered other media as well trickles for each of its transports, until it has the answer.

        Raises:
            SdpError: it belongs to a generation of ICE that was not negotiated.
        """
        if self._remote is None or self._awaits(candidate):
            return True
        negotiated = self._remote.data.username_fragment
        fragment = candidate.generation
        if fragment == negotiated:
            return True
        for section in self._remote.session.media:
            if candidate.sdp_mid and section_mid(section) == candidate.sdp_mid:
                own = section.attribute("ice-ufrag")
                if own is not None and own.value != negotiated:
                    return False
        if fragment is not None:
            raise SdpError(
                f"candidate of ICE generation {fragment!r}; the description has {negotiated!r}",
                line=candidate.candidate or None,
            )
        return True

    def is_early(self, candidate: IceCandidate) -> bool:
        """Whether a candidate is of a description that is not agreed on yet, as in the middle of an ICE restart."""
        if self._agreement is None or self._awaits(candidate):
            return True
        assert self._remote is not None
        return _restarts(self._remote, self._agreement.remote)

    def local_candidate(self, candidate: Candidate) -> IceCandidate:
        """Write one of our candidates for the other side."""
        mid, index = "0", 0
        if self._local is not None:
            mid = self._local.data.mid
            index = next((i for i, section in enumerate(self._local.session.media) if section_mid(section) == mid), 0)
        return IceCandidate(encode_candidate(candidate), mid or None, index, candidate.username_fragment)

    def close(self) -> None:
        """Refuse every further description."""
        self._state = SignalingState.CLOSED

    def _awaits(self, candidate: IceCandidate) -> bool:
        """Whether the answer to our restart is still to come, and the candidate is of no generation we know.

        An end of candidates that does not say of which is of the one that is agreed on: the peer speaks in order.
        """
        if self._state is not SignalingState.HAVE_LOCAL_OFFER or self._agreement is None or self._local is None:
            return False
        before = self._before_offer[0]
        if before is None or not _restarts(self._local, before.data):
            return False
        known = self._agreement.remote.username_fragment
        return candidate.generation not in ((known,) if candidate.candidate else (known, None))

    def _give_up_refused_restart(self) -> None:
        """A peer that knows no restart answers with what it had (aiortc does): ours is taken back, and all goes on."""
        before, local, remote = self._before_offer[0], self._local, self._remote
        if before is None or local is None or remote is None or self._agreement is None:
            return
        if _restarts(local, before.data) and not _restarts(remote, self._agreement.remote) and self._wants_restart:
            old = before.data
            data = attrs.evolve(local.data, username_fragment=old.username_fragment, password=old.password)
            self._local = attrs.evolve(local, data=data)
            self._wants_restart = False

    def _renewed(self, data: DataDescription) -> DataDescription:
        """The description with new credentials, and so without candidates yet (RFC 8839 section 4.4.1.1.1)."""
        fragment, password = self._draw_credentials()
        return attrs.evolve(data, username_fragment=fragment, password=password, candidates=(), end_of_candidates=False)

    def _create(self, kind: DescriptionType, session: Session) -> SessionDescription:
        description = SessionDescription(kind, encode_session(session))
        self._session_version += 1
        self._created[kind] = description
        return description

    def _enter(self, state: SignalingState) -> None:
        """A description was applied; what was created for the state before no longer fits."""
        self._state = state
        if state in (SignalingState.STABLE, SignalingState.HAVE_REMOTE_OFFER):
            self._created.clear()

    def _roll_back(self, state: SignalingState) -> None:
        self._local, self._remote = self._before_offer
        self._enter(state)

    def _require_same_transport(self, applied: _Applied) -> None:
        if self._agreement is None:
            return
        known, new = self._agreement.remote, applied.data
        restarts = _restarts(applied, known)
        if restarts and self._state is SignalingState.HAVE_REMOTE_PRANSWER:
            raise SdpError(
                "the answer has other ICE credentials than the provisional one, as if it were somebody else's"
            )
        if not restarts and (new.username_fragment, new.password) != (known.username_fragment, known.password):
            raise SdpError("a=ice-ufrag and a=ice-pwd change together when ICE restarts (RFC 8839 section 4.4.1.1.1)")
        if applied.kind != "offer":
            before = self._before_offer[0]
            wanted = self._local is not None and before is not None and _restarts(self._local, before.data)
            if restarts and not wanted:
                raise SdpError("the answer restarts ICE and was not asked to (RFC 8839 section 4.4.1.1.1)")
        if set(new.fingerprints) != set(known.fingerprints) or (new.tls_id or known.tls_id) != known.tls_id:
            raise SdpError("the description asks for a new DTLS association; open a new connection for that")
        if new.sctp_port != known.sctp_port:  # RFC 8841 section 10.5
            raise SdpError("the description asks for a new SCTP association; open a new connection for that")
        kept = Setup.PASSIVE if self._agreement.is_dtls_client else Setup.ACTIVE
        # RFC 8842 section 5.5 demands actpass of a later offer; one that names the role in use does no harm
        if new.setup is not kept and not (applied.kind == "offer" and new.setup is Setup.ACTPASS):
            raise SdpError(f"a=setup:{new.setup} turns the DTLS roles around, which takes a new connection")

    def _agree(self) -> None:
        local, remote = self._local, self._remote
        is_open = self._state in (SignalingState.HAVE_LOCAL_OFFER, SignalingState.HAVE_REMOTE_OFFER)
        if is_open or local is None or remote is None:
            return
        is_offerer = local.kind == "offer"
        if is_offerer == (remote.kind == "offer"):
            return
        if self._agreement is not None:
            if _restarts(remote, self._agreement.remote):  # roles stay (RFC 8445 section 9, RFC 8842 section 5.5)
                self._agreement = attrs.evolve(self._agreement, remote=remote.data)
                self._wants_restart = False
            return
        is_dtls_client = local.data.setup is Setup.ACTIVE if not is_offerer else remote.data.setup is Setup.PASSIVE
        self._agreement = Agreement(remote.data, is_offerer, is_dtls_client)


def _restarts(applied: _Applied, before: DataDescription) -> bool:
    """Whether a description restarts ICE: fragment and password are both others (RFC 8839 section 4.4.1.1.1)."""
    new = applied.data
    return new.username_fragment != before.username_fragment and new.password != before.password


def _applied(kind: DescriptionType, sdp: str) -> _Applied:
    session = decode_session(sdp)
    for section in session.media:
        section_mid(section)  # an answer repeats it, also that of a section which it rejects
    return _Applied(kind, session, data_description(session))
