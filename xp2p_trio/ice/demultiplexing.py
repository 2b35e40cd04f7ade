"""Which of many agents that share a socket a datagram belongs to.

    a datagram that is            belongs to                                       and its path is
    a Binding request             the session that its USERNAME names              named: claimed without a proof
    an answer                     the session that asked, by the transaction id    proved, if it is a success
    an indication, and no STUN    the owner of its path

A request can be forged by whoever has seen a username fragment, and from any address. An answer cannot: its transaction
id of 96 bits came back from where it was sent to. So a path has one owner, and

- a path without an owner goes to the first session that names or proves it;
- an owner keeps its path while its claim is fresh, that is, renewed within `CLAIM_LIFETIME` by what it rests on;
- a fresh claim that is only named gives way to a proof, a fresh claim that is proved to nothing;
- a claim that is not fresh gives way to any other.

Hence nobody who cannot read what we send to a peer takes away its path, and an address that a NAT hands to another peer
follows within `CLAIM_LIFETIME`. Two sessions that live on one path at the same time (two of our connections to one port
of somebody who shares it likewise) cannot be told apart by what is no STUN: the first has the path.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable
from struct import Struct
from typing import Final, Generic, TypeAlias, TypeVar, final

import attrs

from xp2p_trio.errors import DecodeError, InvalidArgument
from xp2p_trio.sansio import Address, Burst, walk_tlv
from xp2p_trio.stun import (
    HEADER_SIZE,
    MAGIC_COOKIE,
    Fingerprint,
    MessageIntegrity,
    MessageIntegritySha256,
    Username,
    decode_message,
    short_term_key,
    verify_integrity,
)

CLAIM_LIFETIME: Final = 15.0
"""Seconds: two consent checks, of 6 s at most by default, may be lost on a path that lives (RFC 7675 section 5.1)."""

MAX_NAMED_PATHS: Final = 32
"""Of one session, without a proof: as many as an agent learns peer-reflexive candidates."""

MAX_PROVED_PATHS: Final = 128
"""Of one session: as many as an agent has pairs."""

MAX_TRANSACTIONS: Final = 160
"""Of one session, unanswered: one for each pair, and some for servers."""

MAX_FRAGMENTS: Final = 4
"""Of one session: the generations of ICE that may overlap in restarts."""

RETIREMENT: Final = 40.0
"""Seconds for which a fragment that is gone is no unknown one: its peer checks on for the 30 s of consent."""

MAX_RETIRED: Final = 4096
"""Fragments that are gone and remembered."""

MAX_UNKNOWN_PER_SECOND: Final = 500
"""Requests for nobody that are looked at and told of."""

SessionT = TypeVar("SessionT", bound=Hashable)

_Path: TypeAlias = tuple[Address, Address]  # ours and the peer's; what is shared is UDP

_FRAGMENT = re.compile(rb"[A-Za-z0-9+/]{4,256}")  # RFC 8839 section 5.4
_USERNAME = re.compile(rb"([A-Za-z0-9+/]{4,256}):([A-Za-z0-9+/]{4,256})")
_HEADER = Struct("!HHI12s")
_NO_STUN = b"\x04"  # RFC 7983 section 7: STUN begins with 0 to 3
_CLASS = 0x0110
_REQUEST, _INDICATION, _SUCCESS = 0x0000, 0x0010, 0x0100
_BINDING_REQUEST = 0x0001


@attrs.frozen
class UnknownPeer:
    """A Binding request that names no session here. It may come from anybody.

    Attributes:
        local: where it came in.
        remote: where it came from, as it seems.
        local_username_fragment: who is asked for: the first part of its USERNAME (RFC 8445 section 7.2.2).
        remote_username_fragment: who asks.
        request: the datagram.
    """

    local: Address
    remote: Address
    local_username_fragment: str
    remote_username_fragment: str
    request: bytes = attrs.field(repr=False)

    def is_signed_with(self, password: str) -> bool:
        """Whether the sender knows the password that goes with `local_username_fragment` (RFC 8445 section 7.2.2)."""
        return verify_integrity(decode_message(self.request), short_term_key(password)) is not None


@attrs.frozen(kw_only=True)
class DemultiplexerStatistics:
    """What a demultiplexer counts.

    Attributes:
        sessions: that are registered now.
        paths: that have an owner now.
        datagrams_of_strangers: came over a path that nobody owns, and were neither request nor awaited answer.
        stun_malformed: began like STUN and are none, or requests of other methods.
        requests_unknown: named nobody.
        requests_late: named a session that is gone.
        claims_refused: requests and answers that did not get the path, since another session's claim is fresh.
    """

    sessions: int
    paths: int
    datagrams_of_strangers: int
    stun_malformed: int
    requests_unknown: int
    requests_late: int
    claims_refused: int


@final
class _Member(Generic[SessionT]):
    """What is kept of one session. The dictionaries are ordered sets, least recently renewed first."""

    __slots__ = ("asked", "fragments", "named", "proved", "session")

    def __init__(self, session: SessionT) -> None:
        self.session = session
        self.fragments: dict[bytes, None] = {}
        self.named: dict[_Path, None] = {}
        self.proved: dict[_Path, None] = {}
        self.asked: dict[bytes, _Path] = {}


@final
class _Claim(Generic[SessionT]):
    """Who owns a path, by what, and until when that is fresh."""

    __slots__ = ("fresh_until", "is_proved", "member")

    def __init__(self, member: _Member[SessionT], fresh_until: float, *, is_proved: bool) -> None:
        self.member = member
        self.fresh_until = fresh_until
        self.is_proved = is_proved


@final
class Demultiplexer(Generic[SessionT]):
    """Routes what comes in on shared sockets. What strangers send never makes it grow."""

    def __init__(self) -> None:
        self._members: dict[SessionT, _Member[SessionT]] = {}
        self._fragments: dict[bytes, _Member[SessionT]] = {}
        self._claims: dict[_Path, _Claim[SessionT]] = {}
        self._asked: dict[bytes, _Member[SessionT]] = {}
        self._retired: dict[bytes, float] = {}
        self._unknown: list[UnknownPeer] = []
        self._unknown_second = -math.inf
        self._unknown_in_second = 0
        self._strangers = self._malformed = self._unnamed = self._late = self._refused = 0

    @property
    def statistics(self) -> DemultiplexerStatistics:
        """A snapshot of the counters."""
        return DemultiplexerStatistics(
            sessions=len(self._members),
            paths=len(self._claims),
            datagrams_of_strangers=self._strangers,
            stun_malformed=self._malformed,
            requests_unknown=self._unnamed,
            requests_late=self._late,
            claims_refused=self._refused,
        )

    def enter(self, session: SessionT) -> None:
        """Take a session that has no fragment yet: it may ask servers. Again is harmless."""
        if session not in self._members:
            self._members[session] = _Member(session)

    def check(self, username_fragment: str, session: SessionT) -> None:
        """Refuse a fragment that cannot name this session.

        Raises:
            InvalidArgument: it is no username fragment, or that of another session.
        """
        fragment = username_fragment.encode()
        if not _FRAGMENT.fullmatch(fragment):
            raise InvalidArgument(
                f"username fragment {username_fragment[:32]!r} is not 4 to 256 of the characters A-Z a-z 0-9 + /"
            )
        owner = self._fragments.get(fragment)
        if owner is not None and owner.session != session:
            raise InvalidArgument(f"username fragment {username_fragment!r} is that of another session here")

    def add(self, username_fragment: str, session: SessionT, now: float) -> None:
        """Let a fragment name a session: its first, or one more generation of it (ICE restart).

        Of more than `MAX_FRAGMENTS` the oldest is retired.

        Raises:
            InvalidArgument: as `check`.
        """
        self.check(username_fragment, session)
        fragment = username_fragment.encode()
        if fragment in self._fragments:
            return
        self.enter(session)
        member = self._members[session]
        self._retired.pop(fragment, None)
        self._fragments[fragment] = member
        member.fragments[fragment] = None
        if len(member.fragments) > MAX_FRAGMENTS:
            self._retire(member, next(iter(member.fragments)), now)

    def remove(self, session: SessionT, now: float) -> None:
        """Forget a session. Again is harmless."""
        member = self._members.pop(session, None)
        if member is None:
            return
        for fragment in list(member.fragments):
            self._retire(member, fragment, now)
        for path in (*member.named, *member.proved):
            del self._claims[path]
        for transaction_id in member.asked:
            self._asked.pop(transaction_id, None)

    def has(self, username_fragment: str) -> bool:
        """Whether a session is registered by this fragment."""
        return username_fragment.encode() in self._fragments

    def sent(self, session: SessionT, burst: Burst) -> None:
        """Note the requests that a session sends, in order to know the answers. A burst is all STUN or none."""
        datagrams = burst.datagrams
        if datagrams[0] >= _NO_STUN:
            return
        member = self._members.get(session)
        if member is None:
            return
        for datagram in datagrams:
            if len(datagram) >= HEADER_SIZE and not (datagram[0] << 8 | datagram[1]) & _CLASS:
                self._note_request(member, datagram[8:HEADER_SIZE], (burst.local, burst.remote))

    def route(self, burst: Burst, now: float) -> list[tuple[SessionT, Burst]]:
        """Whom the datagrams of a path belong to, in order. What belongs to nobody is counted and left out."""
        datagrams = burst.datagrams
        # The least of them begins with the least first byte.
        if min(datagrams) < _NO_STUN:
            return self._route_each(burst, now)
        claim = self._claims.get((burst.local, burst.remote))
        if claim is None:
            self._strangers += len(datagrams)
            return []
        return [(claim.member.session, burst)]

    def take_unknown(self) -> list[UnknownPeer]:
        """Drain the requests that named nobody, `MAX_UNKNOWN_PER_SECOND` at most."""
        unknown, self._unknown = self._unknown, []
        return unknown

    def _route_each(self, burst: Burst, now: float) -> list[tuple[SessionT, Burst]]:
        path = (burst.local, burst.remote)
        shares: list[tuple[SessionT, list[bytes]]] = []
        for datagram in burst.datagrams:
            member = self._receiver(datagram, path, now)
            if member is None:
                continue
            if shares and shares[-1][0] is member.session:
                shares[-1][1].append(datagram)
            else:
                shares.append((member.session, [datagram]))
        return [(session, Burst(burst.local, burst.remote, share)) for session, share in shares]

    def _receiver(self, datagram: bytes, path: _Path, now: float) -> _Member[SessionT] | None:
        if datagram >= _NO_STUN:
            return self._owner(path)
        if len(datagram) < HEADER_SIZE:
            self._malformed += 1
            return None
        kind, length, cookie, transaction_id = _HEADER.unpack_from(datagram)
        if cookie != MAGIC_COOKIE or length & 3 or length != len(datagram) - HEADER_SIZE:
            self._malformed += 1
            return None
        if kind == _BINDING_REQUEST:
            return self._requested(datagram, path, now)
        message_class = kind & _CLASS
        if message_class == _REQUEST:
            self._malformed += 1
            return None
        member = None if message_class == _INDICATION else self._asked.get(transaction_id)
        if member is None:
            return self._owner(path)
        # Only who accepted our credentials answers by a success: any other agent at the address refuses the check.
        if message_class == _SUCCESS and member.asked[transaction_id] == path:
            del self._asked[transaction_id], member.asked[transaction_id]
            self._claim(member, path, now, is_proved=True)
        return member

    def _owner(self, path: _Path) -> _Member[SessionT] | None:
        claim = self._claims.get(path)
        if claim is None:
            self._strangers += 1
            return None
        return claim.member

    def _requested(self, datagram: bytes, path: _Path, now: float) -> _Member[SessionT] | None:
        try:
            attributes = walk_tlv(datagram, HEADER_SIZE, length_counts_header=False)
        except DecodeError:
            self._malformed += 1
            return None
        username = next((datagram[start:stop] for kind, start, stop in attributes if kind == Username.type), b"")
        fragment = username.partition(b":")[0]
        member = self._fragments.get(fragment)
        if member is not None:
            self._claim(member, path, now, is_proved=False)
            return member
        if now < self._retired.get(fragment, -math.inf):
            self._late += 1
            return None
        self._unnamed += 1
        self._tell_of(datagram, path, now)
        return None

    def _tell_of(self, datagram: bytes, path: _Path, now: float) -> None:
        if not self._unknown_second <= now < self._unknown_second + 1:
            self._unknown_second = now
            self._unknown_in_second = 0
        if self._unknown_in_second >= MAX_UNKNOWN_PER_SECOND or len(self._unknown) >= MAX_UNKNOWN_PER_SECOND:
            return
        self._unknown_in_second += 1
        try:
            request = decode_message(datagram)
        except DecodeError:
            return
        username = request.get(Username)
        is_signed = request.get(MessageIntegrity) is not None or request.get(MessageIntegritySha256) is not None
        if username is None or not is_signed or request.get(Fingerprint) is None:
            return
        parts = _USERNAME.fullmatch(username.text.encode())
        if parts is not None:
            self._unknown.append(UnknownPeer(*path, parts[1].decode(), parts[2].decode(), datagram))

    def _claim(self, member: _Member[SessionT], path: _Path, now: float, *, is_proved: bool) -> None:
        claim = self._claims.get(path)
        if claim is not None and claim.member is member:
            if claim.is_proved and not is_proved:
                return  # who forges requests does not keep a proof alive
        elif claim is not None and now < claim.fresh_until and (claim.is_proved or not is_proved):
            self._refused += 1
            return
        paths = member.proved if is_proved else member.named
        if path not in paths and not self._make_room(paths, now, is_proved=is_proved):
            self._refused += 1
            return
        if claim is not None:
            (claim.member.proved if claim.is_proved else claim.member.named).pop(path)
        paths[path] = None
        self._claims[path] = _Claim(member, now + CLAIM_LIFETIME, is_proved=is_proved)

    def _make_room(self, paths: dict[_Path, None], now: float, *, is_proved: bool) -> bool:
        """For one more path, at the cost of the oldest. A flood of forged requests pushes out nothing that is fresh."""
        if len(paths) >= (MAX_PROVED_PATHS if is_proved else MAX_NAMED_PATHS):
            oldest = next(iter(paths))
            if not is_proved and now < self._claims[oldest].fresh_until:
                return False
            del paths[oldest], self._claims[oldest]
        return True

    def _note_request(self, member: _Member[SessionT], transaction_id: bytes, path: _Path) -> None:
        if transaction_id in member.asked:
            return  # a retransmission
        if len(member.asked) >= MAX_TRANSACTIONS:
            oldest = next(iter(member.asked))
            del member.asked[oldest]
            self._asked.pop(oldest, None)
        member.asked[transaction_id] = path
        self._asked[transaction_id] = member

    def _retire(self, member: _Member[SessionT], fragment: bytes, now: float) -> None:
        del member.fragments[fragment], self._fragments[fragment]
        self._retired.pop(fragment, None)
        self._retired[fragment] = now + RETIREMENT
        while len(self._retired) > MAX_RETIRED or next(iter(self._retired.values())) <= now:
            del self._retired[next(iter(self._retired))]
