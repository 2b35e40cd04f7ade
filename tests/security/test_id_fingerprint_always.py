"""No way to be connected leads past the comparison of the certificate with the announced fingerprint."""

from __future__ import annotations

import inspect

import attrs
import pytest

from tests.dtls.duo import (
    CLIENT_CERTIFICATE,
    OTHER_CERTIFICATE,
    SERVER_CERTIFICATE,
    Duo,
    failure,
    make_client,
    make_server,
)
from xp2p_trio import dtls
from xp2p_trio.errors import InvalidArgument, InvalidState, Reason

FLIPPED = [
    dtls.Fingerprint("sha-256", bytes(byte ^ (index == position) for index, byte in enumerate(value)))
    for value in [SERVER_CERTIFICATE.fingerprint().value]
    for position in (0, 15, 31)
]


def run(duo: Duo) -> Duo:
    duo.begin()
    duo.run(seconds=100)
    return duo


@pytest.mark.parametrize("cookie", [False, True])
@pytest.mark.parametrize("key_type", ["ecdsa", "rsa"])
def test_client_refuses_another_server(cookie: bool, key_type: dtls.certificate.KeyType) -> None:
    impostor = dtls.Certificate.generate(key_type=key_type)
    configuration = dtls.Configuration(require_cookie=cookie)
    duo = run(Duo(server=make_server(configuration, certificate=impostor)))
    event = failure(duo.client, duo.events[dtls.Role.CLIENT])
    assert event.failure.reason is Reason.FINGERPRINT_MISMATCH
    assert str(impostor.fingerprint()) in event.failure.detail
    assert str(SERVER_CERTIFICATE.fingerprint()) in event.failure.detail
    assert duo.client.peer_certificate is None
    assert duo.server.state is dtls.State.FAILED
    for role in dtls.Role:
        assert not any(isinstance(event, dtls.HandshakeCompleted) for event in duo.events[role])


@pytest.mark.parametrize("cookie", [False, True])
def test_server_refuses_another_client(cookie: bool) -> None:
    configuration = dtls.Configuration(require_cookie=cookie)
    duo = run(Duo(make_client(certificate=OTHER_CERTIFICATE), make_server(configuration)))
    event = failure(duo.server, duo.events[dtls.Role.SERVER])
    assert event.failure.reason is Reason.FINGERPRINT_MISMATCH
    assert str(OTHER_CERTIFICATE.fingerprint()) in event.failure.detail
    assert str(CLIENT_CERTIFICATE.fingerprint()) in event.failure.detail
    told = failure(duo.client, duo.events[dtls.Role.CLIENT])
    assert told.failure.reason is Reason.ALERT_RECEIVED
    assert "bad_certificate" in told.failure.detail


@pytest.mark.parametrize("fingerprint", FLIPPED)
def test_one_bit_is_enough(fingerprint: dtls.Fingerprint) -> None:
    duo = run(Duo(make_client(remote_fingerprints=[fingerprint])))
    assert failure(duo.client, duo.events[dtls.Role.CLIENT]).failure.reason is Reason.FINGERPRINT_MISMATCH


def test_own_fingerprint_does_not_stand_for_the_peers() -> None:
    duo = run(Duo(make_client(remote=CLIENT_CERTIFICATE)))
    assert failure(duo.client, duo.events[dtls.Role.CLIENT]).failure.reason is Reason.FINGERPRINT_MISMATCH


@pytest.mark.parametrize(
    "fingerprints", [[], [dtls.Fingerprint("sha-1", bytes(20))], [dtls.Fingerprint("sha-256", b"")]]
)
def test_there_is_no_connection_without_a_usable_fingerprint(fingerprints: list[dtls.Fingerprint]) -> None:
    with pytest.raises(InvalidArgument, match="remote_fingerprints"):
        make_client(remote_fingerprints=fingerprints)


def test_there_is_no_switch() -> None:
    names = {field.name for field in attrs.fields(dtls.Configuration)} | set(
        inspect.signature(dtls.Connection).parameters
    )
    assert not {name for name in names if "verif" in name or "insecure" in name or "check" in name}


@pytest.mark.parametrize("role", list(dtls.Role))
def test_failed_is_the_end(role: dtls.Role) -> None:
    """CVE-2021-28681: a failed transport stayed usable."""
    clients = [make_client(remote=OTHER_CERTIFICATE), make_client()]
    servers = [make_server(), make_server(remote=OTHER_CERTIFICATE)]
    duo = run(Duo(clients[role], servers[role]))
    end = (duo.client, duo.server)[role]
    assert end.state is dtls.State.FAILED
    assert end.transmit(duo.now, 100) == []
    for from_client, datagram in duo.sent:
        if from_client is not (role is dtls.Role.CLIENT):
            end.receive([datagram], duo.now)
    end.handle_timeout(duo.now + 100)
    assert end.transmit(duo.now + 100, 100) == []
    assert end.take_events() == []
    assert end.take_received() == []
    assert end.next_timeout() == float("inf")
    for call in (lambda: end.send([b"x"], duo.now), lambda: end.export_keying_material("x", None, 1)):
        with pytest.raises(InvalidState):
            call()
