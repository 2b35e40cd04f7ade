"""Several fingerprints: the strongest known hash decides (RFC 8122 section 5)."""

from __future__ import annotations

import hashlib

import pytest

from tests.dtls.duo import OTHER_CERTIFICATE, SERVER_CERTIFICATE, Duo, make_client
from xp2p_trio import dtls
from xp2p_trio.errors import InvalidArgument

GOOD = {name: SERVER_CERTIFICATE.fingerprint(name) for name in ("sha-256", "sha-384", "sha-512")}
BAD = {name: OTHER_CERTIFICATE.fingerprint(name) for name in GOOD}
SHA1 = dtls.Fingerprint("sha-1", hashlib.sha1(SERVER_CERTIFICATE.der).digest())
MD5 = dtls.Fingerprint("md5", hashlib.md5(SERVER_CERTIFICATE.der).digest())

ACCEPTED = [
    [GOOD["sha-256"]],
    [GOOD["sha-384"]],
    [GOOD["sha-512"]],
    [SHA1, GOOD["sha-256"]],
    [BAD["sha-256"], GOOD["sha-256"]],
    [BAD["sha-256"], GOOD["sha-512"]],
    [BAD["sha-384"], GOOD["sha-512"], BAD["sha-512"], MD5],
    [dtls.Fingerprint("SHA-256", GOOD["sha-256"].value)],
    [dtls.Fingerprint("sha-3-512", bytes(64)), GOOD["sha-256"]],
    [dtls.Fingerprint("sha-512", bytes(32)), GOOD["sha-256"]],
]
REFUSED = [
    [BAD["sha-256"]],
    [GOOD["sha-256"], BAD["sha-512"]],
    [GOOD["sha-256"], GOOD["sha-384"], BAD["sha-512"]],
    [SHA1, BAD["sha-256"]],
    [dtls.Fingerprint("sha-256", bytes(32))],
]


@pytest.mark.parametrize("fingerprints", ACCEPTED)
def test_accepted(fingerprints: list[dtls.Fingerprint]) -> None:
    assert dtls.matches_fingerprint(SERVER_CERTIFICATE.der, fingerprints)
    Duo(make_client(remote_fingerprints=fingerprints)).connect().echo()


@pytest.mark.parametrize("fingerprints", REFUSED)
def test_refused(fingerprints: list[dtls.Fingerprint]) -> None:
    assert not dtls.matches_fingerprint(SERVER_CERTIFICATE.der, fingerprints)
    duo = Duo(make_client(remote_fingerprints=fingerprints))
    duo.begin()
    duo.run(seconds=10)
    assert duo.client.state is dtls.State.FAILED


@pytest.mark.parametrize("fingerprints", [[SHA1], [MD5], [SHA1, MD5]])
def test_weak_hashes_never_count(fingerprints: list[dtls.Fingerprint]) -> None:
    assert not dtls.matches_fingerprint(SERVER_CERTIFICATE.der, fingerprints)
    with pytest.raises(InvalidArgument):
        make_client(remote_fingerprints=fingerprints)


@pytest.mark.parametrize("name", ["sha-1", "md5", "md2", "sha-224", "shake128", ""])
def test_weak_hashes_are_not_made(name: str) -> None:
    with pytest.raises(InvalidArgument):
        SERVER_CERTIFICATE.fingerprint(name)
