"""The same seeds and times give the same bytes: the datagrams of one handshake, by their hashes."""

from __future__ import annotations

import hashlib

from tests.dtls.duo import CLIENT_CERTIFICATE, SERVER_CERTIFICATE, Duo
from xp2p_trio import dtls

FINGERPRINTS = ("59:0A:F9:C5:A9:B9:C9:06", "5E:7A:16:AF:35:11:33:D8")
TRANSCRIPTS = {
    "plain": (dtls.Configuration(), "762550f33a0ace23e309ccb859214e979b25c494c0a0f51b0bb5bb50e6b61108"),
    "cookie": (
        dtls.Configuration(require_cookie=True, max_datagram_size=300),
        "634ec8581f0265c5317ced6ca0256526d6de3599a4f7d245c8bad07b09869993",
    ),
    "chacha": (
        dtls.Configuration(
            cipher_suites=(dtls.CipherSuite.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,),
            groups=(dtls.NamedGroup.SECP256R1,),
        ),
        "c70ffe911bd032d17e7766529c65c81aa3bb889091e047b9abd210fe13ba005f",
    ),
}


def transcript(configuration: dtls.Configuration) -> str:
    duo = Duo(configuration=configuration).connect()
    duo.echo()
    duo.client.close(duo.now)
    duo.settle()
    digest = hashlib.sha256()
    for from_client, datagram in duo.sent:
        digest.update(bytes([from_client]) + len(datagram).to_bytes(2, "big") + datagram)
    return digest.hexdigest()


def test_certificates_come_from_their_seeds() -> None:
    assert tuple(str(item.fingerprint())[8:31] for item in (CLIENT_CERTIFICATE, SERVER_CERTIFICATE)) == FINGERPRINTS


def test_golden_transcripts() -> None:
    assert {name: transcript(configuration) for name, (configuration, _) in TRANSCRIPTS.items()} == {
        name: digest for name, (_, digest) in TRANSCRIPTS.items()
    }


def test_another_time_gives_the_same_bytes() -> None:
    """Only cookies hold the time."""
    early, late = Duo(), Duo()
    late.now = 1e6
    for duo in (early, late):
        duo.connect()
    assert early.sent == late.sent
