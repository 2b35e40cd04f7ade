"""Records that do not open are counted per key, and there is an end to it (RFC 9147 section 4.5.3)."""

from __future__ import annotations

from tests.dtls.duo import connected, failure
from tests.dtls.forgery import record
from xp2p_trio import dtls
from xp2p_trio.dtls.configuration import FORGERY_LIMIT
from xp2p_trio.errors import Reason


def test_default_is_that_of_the_rfc() -> None:
    assert dtls.Configuration().forgery_limit == FORGERY_LIMIT == 2**36


def test_association_ends_at_the_limit() -> None:
    duo = connected(dtls.Configuration(forgery_limit=100))
    for number in range(99):
        duo.server.receive([record(23, bytes(40), epoch=1, sequence_number=1000 + number)], duo.now)
    assert duo.server.statistics.records_forged == 99
    duo.echo()
    duo.server.receive([record(23, bytes(40), epoch=1, sequence_number=5000)], duo.now)
    assert failure(duo.server, duo.server.take_events()).failure.reason is Reason.LIMIT_EXCEEDED
    assert len(duo.server.transmit(duo.now, 10)) == 1


def test_limit_in_the_middle_of_a_batch() -> None:
    duo = connected(dtls.Configuration(forgery_limit=5))
    duo.server.receive([record(23, bytes(40), epoch=1, sequence_number=number + 9) for number in range(50)], duo.now)
    assert [type(event) for event in duo.server.take_events()] == [dtls.Failed]
    assert duo.server.statistics.records_forged == 5
    assert len(duo.server.transmit(duo.now, 10)) == 1
