"""Both browsers split their ClientHello over two datagrams: any order, any loss, with and without cookies."""

from __future__ import annotations

import itertools

import attrs
import pytest

from tests.dtls.duo import make_server
from tests.dtls.hello import browser_hello, message, records
from xp2p_trio import dtls
from xp2p_trio.dtls.messages12 import decode_hello_verify_request
from xp2p_trio.dtls.parameters import HandshakeType


def answered_by(datagrams: list[bytes]) -> list[dtls.Fragment]:
    return [
        fragment
        for datagram in datagrams
        for record in dtls.decode_records(datagram)
        for fragment in dtls.decode_fragments(record.fragment)
    ]


def first_answer(server: dtls.Connection) -> dtls.Fragment:
    return answered_by(server.transmit(0.0, 10))[0]


def test_hello_is_as_large_as_that_of_a_browser() -> None:
    assert 1400 < len(message(browser_hello()).body) < 2000
    assert len(records(message(browser_hello()), 1100)) == 2


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_any_order(order: tuple[int, ...]) -> None:
    server = make_server()
    server.connect(0.0)
    pieces = records(message(browser_hello()), 600)
    for count, index in enumerate(order):
        assert server.transmit(0.0, 10) == []
        server.receive([pieces[index]], 0.0)
        assert server.state is dtls.State.CONNECTING, count
    assert first_answer(server).handshake_type == HandshakeType.SERVER_HELLO


@pytest.mark.parametrize("lost", range(3))
def test_any_loss_is_mended_by_the_repetition(lost: int) -> None:
    server = make_server()
    server.connect(0.0)
    pieces = records(message(browser_hello()), 600)
    server.receive(pieces[:lost] + pieces[lost + 1 :], 0.0)
    assert server.transmit(0.0, 10) == []
    other_cut = records(message(browser_hello()), 700)
    server.receive(other_cut, 0.05)
    assert first_answer(server).handshake_type == HandshakeType.SERVER_HELLO


@pytest.mark.parametrize("swapped", [False, True])
def test_second_hello_with_a_cookie_too(swapped: bool) -> None:
    server = make_server(dtls.Configuration(require_cookie=True))
    server.connect(0.0)
    hello = browser_hello()
    pieces = records(message(hello), 1000)
    server.receive(pieces[::-1] if swapped else pieces, 0.0)
    request = first_answer(server)
    assert request.handshake_type == HandshakeType.HELLO_VERIFY_REQUEST
    cookie = decode_hello_verify_request(request.body).cookie
    pieces = records(message(attrs.evolve(hello, cookie=cookie), 1), 1000)
    server.receive(pieces[::-1] if swapped else pieces, 0.1)
    answer = first_answer(server)
    assert answer.handshake_type == HandshakeType.SERVER_HELLO
    assert answer.message_seq == 1
