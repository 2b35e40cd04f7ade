"""The names that are asked for: when they are asked again, and when it is enough."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from typing import Final, TypeAlias, final

from xp2p_trio.mdns.link import PORT, group_of
from xp2p_trio.mdns.names import to_labels
from xp2p_trio.mdns.wire import Message, Question, encode_message
from xp2p_trio.sansio import Address, Burst, RandomBytes

MAX_NAMES: Final = 32
"""Names that are asked for at a time. A peer may send as many candidates as it likes."""

TRIES: Final = (0.0, 1.0, 3.0)
"""Seconds after which a name is asked for (RFC 6762 section 5.2: a second between the first two, then doubled)."""

PATIENCE: Final = 5.0
"""Seconds after which nobody is expected to answer any more."""

_Query: TypeAlias = tuple[str, int, Address]
"""What leaves as one datagram: a name, a type of record, and where from."""


@final
class _Asked:
    """One name that is asked for."""

    __slots__ = ("id", "started", "tries")

    def __init__(self, message_id: int, started: float) -> None:
        self.id = message_id
        self.started = started
        self.tries = 0

    @property
    def deadline(self) -> float:
        """When it is asked for again, or given up."""
        return self.started + (TRIES[self.tries] if self.tries < len(TRIES) else PATIENCE)


@final
class Resolver:
    """Asks for names.

    Args:
        record_types: which addresses are of use.
        random_bytes: source of the ids of queries to which the answer comes by unicast.
    """

    def __init__(self, record_types: Iterable[int], random_bytes: RandomBytes) -> None:
        self.record_types = tuple(record_types)
        self._random_bytes = random_bytes
        self._asked: dict[str, _Asked] = {}
        self._due: dict[_Query, None] = {}  # a set in the order of insertion

    def __len__(self) -> int:
        return len(self._asked)

    def __contains__(self, name: str) -> bool:
        return name in self._asked

    @property
    def is_full(self) -> bool:
        """Whether no further name can be asked for."""
        return len(self._asked) >= MAX_NAMES

    @property
    def is_due(self) -> bool:
        """Whether `take_query` has something."""
        return bool(self._due)

    def ask(self, name: str, addresses: Collection[Address], now: float) -> None:
        """Begin to ask for a name."""
        asked = self._asked[name] = _Asked(int.from_bytes(self._random_bytes(2), "big"), now)
        self._try(name, asked, addresses)

    def forget(self, name: str) -> None:
        """Ask no more."""
        del self._asked[name]
        self._due = {query: None for query in self._due if query[0] != name}

    def forget_address(self, address: Address) -> None:
        """Ask from here no more."""
        self._due = {query: None for query in self._due if query[2] != address}

    def has_id(self, name: str, message_id: int) -> bool:
        """Whether a query for the name carried this id."""
        asked = self._asked.get(name)
        return asked is not None and asked.id == message_id

    def handle_timeout(self, addresses: Collection[Address], now: float) -> list[str]:
        """Ask again for the names whose time has come. Returns those that nobody answers for; they are forgotten."""
        silent = []
        for name, asked in list(self._asked.items()):
            if now >= asked.started + PATIENCE:
                silent.append(name)
            elif now >= asked.deadline:
                self._try(name, asked, addresses)
                while asked.deadline <= now:  # late by so much that the next try is due as well
                    asked.tries += 1
        for name in silent:
            self.forget(name)
        return silent

    def next_timeout(self) -> float:
        """When `handle_timeout` is due."""
        return min((asked.deadline for asked in self._asked.values()), default=math.inf)

    def take_query(self) -> Burst:
        """One question, in a datagram of its own and without the wish for an answer by unicast.

        Chromium, which has most of the names, hears neither of several questions nor of one with that wish (QU, RFC
        6762 section 5.4). From another port than 5353 the answer comes by unicast in any case (section 6.7).
        """
        query = next(iter(self._due))
        del self._due[query]
        name, record_type, address = query
        message_id = 0 if address[1] == PORT else self._asked[name].id  # RFC 6762 section 18.1
        message = Message(message_id, questions=(Question(to_labels(name), record_type),))
        return Burst(address, group_of(address[0]), [encode_message(message)])

    def _try(self, name: str, asked: _Asked, addresses: Collection[Address]) -> None:
        asked.tries += 1
        self._due.update(
            {(name, record_type, address): None for address in addresses for record_type in self.record_types}
        )
