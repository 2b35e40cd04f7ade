"""Whatever the peer sends, the stack of calls stays shallow."""

from __future__ import annotations

import inspect
import sys

from tests.dtls.duo import Duo
from tests.dtls.forgery import forged_datagrams, record
from xp2p_trio import dtls
from xp2p_trio.dtls.handshake import encode_message


def test_handshake_and_flood_with_80_frames() -> None:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 80)
    try:
        duo = Duo(configuration=dtls.Configuration(max_datagram_size=256)).connect()
        hello_requests = [record(22, encode_message(dtls.Message(0, index, b"")) * 10) for index in range(500)]
        duo.client.receive(hello_requests, duo.now)
        genuine = [datagram for _, datagram in duo.sent]
        duo.client.receive(list(forged_datagrams(2000, 4, genuine)), duo.now)
        duo.server.receive(list(forged_datagrams(2000, 5, genuine)), duo.now)
    finally:
        sys.setrecursionlimit(before)
    duo.echo()


def test_hello_requests_during_the_handshake() -> None:
    duo = Duo()
    duo.begin()
    duo.client.receive(
        [record(22, encode_message(dtls.Message(0, index, b"")), sequence_number=index) for index in range(1000)], 0.0
    )
    assert duo.client.state is dtls.State.CONNECTING
