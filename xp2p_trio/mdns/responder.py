"""The names that are ours: announced, and told to who asks (RFC 6762 sections 6, 8.3 and 10.1)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final, TypeAlias, final

import attrs

from xp2p_trio.mdns.link import PORT, Link, group_of
from xp2p_trio.mdns.names import from_labels, to_labels
from xp2p_trio.mdns.wire import ADDRESS_SIZES, TYPE_ANY, AddressRecord, Message, Question, encode_message
from xp2p_trio.sansio import Address, Burst

TTL: Final = 120
"""Seconds for which others may remember a host's address (RFC 6762 section 10)."""

LEGACY_TTL: Final = 10
"""The same for those who never hear that it has changed (RFC 6762 section 6.7)."""

MULTICAST_INTERVAL: Final = 1.0
"""Seconds between two multicasts of one record on one link (RFC 6762 section 6), and between two announcements."""

ANNOUNCEMENTS: Final = 2  # RFC 6762 section 8.3

MAX_OWED: Final = 32
"""Answers by unicast that wait to be pulled. More are not given; who asked will ask again."""

_Key: TypeAlias = tuple[str, Address]
"""A name, and where it is told."""

_Owed: TypeAlias = tuple[str, Address, Address]
"""A name, from where it is told, and to whom alone."""


@final
class _Outlet:
    """One record on one link: when it was last told to everybody, when it is next, and how often for no reason."""

    __slots__ = ("announcements", "due", "sent")

    def __init__(self) -> None:
        self.announcements = ANNOUNCEMENTS
        self.sent = -math.inf
        self.due = math.inf


@final
class Responder:
    """Answers for names."""

    def __init__(self) -> None:
        self._hosts: dict[str, str] = {}
        self._outlets: dict[_Key, _Outlet] = {}
        self._ready: dict[_Key, None] = {}  # a set in the order of insertion
        self._goodbyes: dict[_Key, str] = {}
        self._owed: dict[_Owed, Message] = {}
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._hosts)

    def __contains__(self, name: str) -> bool:
        return name in self._hosts

    @property
    def is_due(self) -> bool:
        """Whether `take_answer` has something."""
        return bool(self._owed or self._goodbyes or self._ready)

    def publish(self, name: str, host: str, links: Iterable[Link]) -> None:
        """Answer for a name from now on, and announce it."""
        self._hosts[name] = host
        for link in links:
            self._announce(name, link)

    def withdraw(self, name: str) -> None:
        """Answer for it no more, and tell those who may remember it."""
        host = self._hosts.pop(name)
        for key in [key for key in self._outlets if key[0] == name]:
            if self._outlets.pop(key).sent != -math.inf:
                self._goodbyes[key] = host
            self._ready.pop(key, None)
        self._owed = {key: message for key, message in self._owed.items() if key[0] != name}

    def add_link(self, link: Link) -> None:
        """Announce here as well."""
        for name in self._hosts:
            self._announce(name, link)

    def forget_address(self, address: Address) -> None:
        """Answer here no more."""
        for key in [key for key in self._outlets if key[1] == address]:
            del self._outlets[key]
            self._ready.pop(key, None)
        self._goodbyes = {key: host for key, host in self._goodbyes.items() if key[1] != address}
        self._owed = {key: message for key, message in self._owed.items() if key[1] != address}

    def hear(self, query: Message, link: Link, asker: Address, now: float) -> bool:
        """Take a query. Returns whether it is about names of ours."""
        is_ours = False
        for question in dict.fromkeys(query.questions):  # who asks a thousand times is answered once
            name = from_labels(question.name)
            if name is None or (name, link.address) not in self._outlets:
                continue
            is_ours = True
            if question.record_type in (*ADDRESS_SIZES, TYPE_ANY) and not self._is_known(name, query):
                self._answer(name, question, query.id, link, asker, now)
        return is_ours

    def handle_timeout(self, now: float) -> None:
        """Tell what has waited for its time."""
        for key, outlet in self._outlets.items():
            if outlet.due <= now:
                outlet.due = math.inf
                self._ready[key] = None

    def next_timeout(self) -> float:
        """When `handle_timeout` is due."""
        return min((outlet.due for outlet in self._outlets.values()), default=math.inf)

    def take_answer(self, now: float) -> Burst:
        """One answer, with one name."""
        if self._owed:
            _, address, asker = owed = next(iter(self._owed))
            message = self._owed.pop(owed)
            return Burst(address, asker, [encode_message(message, deny_others=not message.questions)])
        if self._goodbyes:
            name, address = key = next(iter(self._goodbyes))
            goodbye = AddressRecord(to_labels(name), self._goodbyes.pop(key), 0, flush=True)
            return Burst(address, group_of(address[0]), [encode_message(Message(is_response=True, answers=(goodbye,)))])
        name, address = key = next(iter(self._ready))
        del self._ready[key]
        outlet = self._outlets[key]
        outlet.sent = now
        outlet.announcements -= 1
        if outlet.announcements > 0:
            outlet.due = now + MULTICAST_INTERVAL
        return Burst(address, group_of(address[0]), [encode_message(self._response(name), deny_others=True)])

    def _announce(self, name: str, link: Link) -> None:
        if link.hears_group and link.tells(self._hosts[name]):
            key = name, link.address
            self._outlets[key] = _Outlet()
            self._ready[key] = None

    def _is_known(self, name: str, query: Message) -> bool:
        """Whether the asker says so itself, and recently (RFC 6762 section 7.1)."""
        labels, host = to_labels(name), self._hosts[name]
        return any(known.name == labels and known.host == host and known.ttl >= TTL / 2 for known in query.answers)

    def _answer(self, name: str, question: Question, query_id: int, link: Link, asker: Address, now: float) -> None:
        is_legacy = asker[1] != PORT
        if not is_legacy and not question.unicast:
            self._tell_everybody((name, link.address), now)
            return
        if not link.is_near(asker[0]):
            return
        if is_legacy and question.record_type not in (self._response(name).answers[0].record_type, TYPE_ANY):
            return  # who knows nothing of multicast would understand no denial
        message = self._legacy_response(name, question, query_id) if is_legacy else self._response(name)
        if len(self._owed) < MAX_OWED:
            self._owed.setdefault((name, link.address, asker), message)
        else:
            self.dropped += 1

    def _tell_everybody(self, key: _Key, now: float) -> None:
        outlet = self._outlets[key]
        if key in self._ready or outlet.due != math.inf:
            return
        if outlet.sent + MULTICAST_INTERVAL <= now:
            self._ready[key] = None
        else:
            outlet.due = outlet.sent + MULTICAST_INTERVAL

    def _response(self, name: str) -> Message:
        record = AddressRecord(to_labels(name), self._hosts[name], TTL, flush=True)
        return Message(is_response=True, answers=(record,))

    def _legacy_response(self, name: str, question: Question, query_id: int) -> Message:
        """As an ordinary name server would say it."""
        record = AddressRecord(to_labels(name), self._hosts[name], LEGACY_TTL)
        return Message(query_id, True, (attrs.evolve(question, unicast=False),), (record,))
