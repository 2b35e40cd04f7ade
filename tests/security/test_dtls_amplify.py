"""With cookies, who has not shown that he receives draws no more than three times what he sends."""

from __future__ import annotations

import pytest

from tests.dtls.duo import make_server
from tests.dtls.hello import browser_hello, message, our_hello, records
from xp2p_trio import dtls
from xp2p_trio.dtls.parameters import HandshakeType

COOKIE = dtls.Configuration(require_cookie=True)


@pytest.mark.parametrize("size", [60, 100, 300, 1000, 1500])
@pytest.mark.parametrize("large", [False, True])
def test_spoofed_hellos(size: int, large: bool) -> None:
    server = make_server(COOKIE)
    server.connect(0.0)
    taken = given = 0
    for round_ in range(1000):
        for datagram in records(message(browser_hello() if large else our_hello(), round_ % 8), size):
            taken += len(datagram)
            server.receive([datagram], round_ * 0.01)
            for answer in server.transmit(round_ * 0.01, 100):
                given += len(answer)
                [record] = dtls.decode_records(answer)
                assert record.fragment[0] == HandshakeType.HELLO_VERIFY_REQUEST
            assert given <= 3 * taken
    assert given > 0


def test_nothing_is_said_before_a_whole_hello() -> None:
    server = make_server()
    server.connect(0.0)
    server.receive(records(message(browser_hello()), 1000)[1:] * 100, 0.0)
    assert server.transmit(0.0, 100) == []


def test_spoofed_hellos_do_not_lock_out_the_client() -> None:
    from tests.dtls.duo import Duo

    duo = Duo(configuration=COOKIE)
    duo.begin()
    for index in range(100):
        duo.server.receive(records(message(our_hello(), index % 8), 200), 0.0)
        duo.server.transmit(0.0, 100)
    duo.run(lambda: duo.is_connected)
    assert duo.is_connected
    duo.echo()
