"""Every step consumes bytes: nothing empty, repeated or nested keeps a datagram alive for long."""

from __future__ import annotations

import sys
import time

import pytest

from tests.dtls.duo import Duo, connected
from tests.dtls.forgery import record
from xp2p_trio import dtls
from xp2p_trio.dtls.parameters import ContentType
from xp2p_trio.dtls.record import MAX_RECORDS_PER_DATAGRAM
from xp2p_trio.errors import DecodeError

EMPTY = [record(content_type, b"", epoch=epoch) for content_type in (*ContentType, 0, 99) for epoch in (0, 1)]
STORMS = [
    *(datagram * 4000 for datagram in EMPTY),
    record(ContentType.CHANGE_CIPHER_SPEC, b"\x01") * 4000,
    record(ContentType.ALERT, b"\x01\x00") * 4000,
    record(ContentType.HANDSHAKE, (b"\x00" * 12) * 1300),
    record(ContentType.HANDSHAKE, (b"\x0e" + b"\x00" * 11) * 1300),
]


@pytest.mark.parametrize("datagram", STORMS)
def test_storm(datagram: bytes) -> None:
    for duo in (connected(), Duo()):
        if not duo.is_connected:
            duo.begin()
        started = time.process_time()
        before = sys.getrecursionlimit()
        sys.setrecursionlimit(len(__import__("inspect").stack()) + 80)
        try:
            for end in (duo.client, duo.server):
                end.receive([datagram], duo.now)
        finally:
            sys.setrecursionlimit(before)
        assert time.process_time() - started < 0.2


def test_records_in_a_datagram() -> None:
    one = record(ContentType.HANDSHAKE, b"x")
    assert len(dtls.decode_records(one * MAX_RECORDS_PER_DATAGRAM)) == MAX_RECORDS_PER_DATAGRAM
    with pytest.raises(DecodeError):
        dtls.decode_records(one * (MAX_RECORDS_PER_DATAGRAM + 1))
