"""There is no renegotiation, and no handshake without the extensions that make it harmless elsewhere."""

from __future__ import annotations

import attrs
import pytest

from tests.dtls.duo import Duo, connected
from tests.dtls.forgery import record
from tests.dtls.hello import message, our_hello
from tests.dtls.machines import feed, server_machine
from xp2p_trio import dtls
from xp2p_trio.dtls.handshake import encode_message
from xp2p_trio.dtls.parameters import EMPTY_RENEGOTIATION_INFO_SCSV, ExtensionType


def without(*kinds: ExtensionType) -> dict[int, bytes]:
    return {kind: data for kind, data in our_hello().extensions.items() if kind not in kinds}


@pytest.mark.parametrize("kind", [ExtensionType.EXTENDED_MASTER_SECRET, ExtensionType.RENEGOTIATION_INFO])
def test_client_without_the_extension_is_refused(kind: ExtensionType) -> None:
    refusal = feed(server_machine(), [message(attrs.evolve(our_hello(), extensions=without(kind)))])
    assert refusal is not None
    assert refusal.alert is dtls.AlertDescription.HANDSHAKE_FAILURE
    assert kind.name.lower() in refusal.detail


def test_signalling_suite_stands_for_the_extension() -> None:
    hello = our_hello()
    suites = (*hello.cipher_suites, EMPTY_RENEGOTIATION_INFO_SCSV)
    extensions = without(ExtensionType.RENEGOTIATION_INFO)
    assert feed(server_machine(), [message(attrs.evolve(hello, cipher_suites=suites, extensions=extensions))]) is None


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x01x", b"\x0c" + bytes(12), b"\x00\x00"])
def test_renegotiation_info_that_is_not_empty(data: bytes) -> None:
    extensions = {**our_hello().extensions, ExtensionType.RENEGOTIATION_INFO: data}
    assert feed(server_machine(), [message(attrs.evolve(our_hello(), extensions=extensions))]) is not None


@pytest.mark.parametrize("handshake_type", [0, 1, 2, 3, 11, 12, 13, 14, 15, 16, 20, 24, 99])
def test_handshake_messages_in_the_clear_after_the_end(handshake_type: int) -> None:
    duo = connected()
    for message_seq in (0, 1, 5, 6, 7, 100):
        datagram = record(22, encode_message(dtls.Message(handshake_type, message_seq, b"")), sequence_number=50)
        for end in (duo.client, duo.server):
            end.receive([datagram], duo.now)
            assert end.transmit(duo.now, 10) == []
    duo.echo()


def test_client_that_begins_anew_is_not_heard() -> None:
    duo = connected()
    before = [end.export_keying_material("x", None, 20) for end in (duo.client, duo.server)]
    again = Duo()
    again.client.connect(duo.now)
    hello = again.client.transmit(duo.now, 10)
    duo.server.receive(hello, duo.now + 10)
    assert duo.server.transmit(duo.now + 10, 10) == []
    duo.echo()
    assert before == [end.export_keying_material("x", None, 20) for end in (duo.client, duo.server)]
    for end in (duo.client, duo.server):
        assert end.take_events() == []
