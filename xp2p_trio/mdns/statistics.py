"""The counts of an endpoint."""

from __future__ import annotations

import attrs


@attrs.frozen
class Statistics:
    """A snapshot.

    Attributes:
        names_asked: names whose answer is still awaited.
        names_resolved: names that were answered.
        names_unresolved: names that were not.
        names_published: names of ours.
        queries_sent: datagrams that ask.
        answers_sent: datagrams that answer, announcements included.
        datagrams_ignored: datagrams that were no answer to us and no question about a name of ours, or malformed.
        answers_dropped: answers by unicast that were not given, because too many were owed.
    """

    names_asked: int
    names_resolved: int
    names_unresolved: int
    names_published: int
    queries_sent: int
    answers_sent: int
    datagrams_ignored: int
    answers_dropped: int
