"""The named bugs of DTLS-Fuzzer (USENIX Security 2020, NDSS 2023), each as the sequence that shows it."""

from __future__ import annotations

import pytest

from tests.dtls.machines import Item, client_machine, feed, script, server_machine
from xp2p_trio import dtls
from xp2p_trio.dtls.handshake12 import Refusal
from xp2p_trio.dtls.parameters import HandshakeType

HELLO, CERTIFICATE, KEY_EXCHANGE, VERIFY, CCS, FINISHED = script()[1]
SERVER_HELLO, SERVER_CERTIFICATE, SERVER_KEY_EXCHANGE, REQUEST, DONE, SERVER_CCS, SERVER_FINISHED = script()[0]
HELLO_REQUEST = dtls.Message(HandshakeType.HELLO_REQUEST, 0, b"")

SERVER_BUGS: dict[str, list[Item]] = {
    "EarlyFinished": [HELLO, FINISHED],
    "EarlyFinished after Certificate": [HELLO, CERTIFICATE, FINISHED],
    "FinishedBeforeCCS": [HELLO, CERTIFICATE, KEY_EXCHANGE, VERIFY, FINISHED, CCS],
    "MultipleCertificate": [HELLO, CERTIFICATE, CERTIFICATE, KEY_EXCHANGE, VERIFY, CCS, FINISHED],
    "MultipleClientKeyExchange": [HELLO, CERTIFICATE, KEY_EXCHANGE, KEY_EXCHANGE, VERIFY, CCS, FINISHED],
    "MultipleCertificateVerify": [HELLO, CERTIFICATE, KEY_EXCHANGE, VERIFY, VERIFY, CCS, FINISHED],
    "CertificateVerifyBeforeKeyExchange": [HELLO, CERTIFICATE, VERIFY, KEY_EXCHANGE, CCS, FINISHED],
    "NoCertificate": [HELLO, KEY_EXCHANGE, CCS, FINISHED],
    "CertificatelessAuthentication": [HELLO, KEY_EXCHANGE, VERIFY, CCS, FINISHED],
    "NoCertificateVerify": [HELLO, CERTIFICATE, KEY_EXCHANGE, CCS, FINISHED],
    "CCSBeforeCertificateVerify": [HELLO, CERTIFICATE, KEY_EXCHANGE, CCS, FINISHED],
    "HandshakeRestarted": [HELLO, CERTIFICATE, HELLO],
    "HandshakeRestarted at once": [HELLO, HELLO],
    "ServerHelloToServer": [SERVER_HELLO],
    "HelloRequestToServer": [HELLO_REQUEST],
    "InternalErrorOnFinished": [FINISHED],
    "CCSFirst": [CCS, CERTIFICATE],
    "WrongFinished": [HELLO, CERTIFICATE, KEY_EXCHANGE, VERIFY, CCS, SERVER_FINISHED],
}
CLIENT_BUGS: dict[str, list[Item]] = {
    "EarlyFinished": [SERVER_HELLO, SERVER_FINISHED],
    "FinishedBeforeCCS": [
        SERVER_HELLO,
        SERVER_CERTIFICATE,
        SERVER_KEY_EXCHANGE,
        REQUEST,
        DONE,
        SERVER_FINISHED,
        SERVER_CCS,
    ],
    "UnrequestedCertificate": [SERVER_CERTIFICATE],
    "MultipleServerHello": [SERVER_HELLO, SERVER_HELLO],
    "MultipleCertificate": [SERVER_HELLO, SERVER_CERTIFICATE, SERVER_CERTIFICATE],
    "NoServerKeyExchange": [SERVER_HELLO, SERVER_CERTIFICATE, REQUEST, DONE],
    "KeyExchangeBeforeCertificate": [SERVER_HELLO, SERVER_KEY_EXCHANGE, SERVER_CERTIFICATE],
    "CertificateRequestAfterDone": [
        SERVER_HELLO,
        SERVER_CERTIFICATE,
        SERVER_KEY_EXCHANGE,
        DONE,
        REQUEST,
    ],
    "MultipleCertificateRequest": [SERVER_HELLO, SERVER_CERTIFICATE, SERVER_KEY_EXCHANGE, REQUEST, REQUEST],
    "AnonymousServer": [SERVER_HELLO, SERVER_KEY_EXCHANGE],
    "SkippedToDone": [SERVER_HELLO, DONE],
    "ClientHelloToClient": [HELLO],
    "OurFinishedReflected": [
        SERVER_HELLO,
        SERVER_CERTIFICATE,
        SERVER_KEY_EXCHANGE,
        REQUEST,
        DONE,
        SERVER_CCS,
        FINISHED,
    ],
}


@pytest.mark.parametrize("name", SERVER_BUGS)
def test_server(name: str) -> None:
    server = server_machine()
    assert isinstance(feed(server, SERVER_BUGS[name]), Refusal)
    assert server.session is None


@pytest.mark.parametrize("name", CLIENT_BUGS)
def test_client(name: str) -> None:
    client = client_machine()
    assert isinstance(feed(client, CLIENT_BUGS[name]), Refusal)
    assert client.session is None
