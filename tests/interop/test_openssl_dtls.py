"""OpenSSL judges our DTLS layer: each role, suite, group and MTU, data both ways, the end from either side."""

from __future__ import annotations

import os
import pathlib
import shutil

import pytest
from OpenSSL import SSL

from tests.interop.openssl import MemoryPeer, exchange, s_client, s_server, write_pem
from xp2p_trio import dtls
from xp2p_trio.dtls.handshaking import REFUSAL_GRACE

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl command"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

OURS = dtls.Certificate.generate(os.urandom)
THEIRS = dtls.Certificate.generate(os.urandom)
OUR_RSA = dtls.Certificate.generate(key_type="rsa")
THEIR_RSA = dtls.Certificate.generate(key_type="rsa")

SUITES = {
    dtls.CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: "ECDHE-ECDSA-AES128-GCM-SHA256",
    dtls.CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: "ECDHE-ECDSA-AES256-GCM-SHA384",
    dtls.CipherSuite.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-ECDSA-CHACHA20-POLY1305",
    dtls.CipherSuite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: "ECDHE-RSA-AES128-GCM-SHA256",
    dtls.CipherSuite.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384: "ECDHE-RSA-AES256-GCM-SHA384",
    dtls.CipherSuite.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-RSA-CHACHA20-POLY1305",
}
# The curve of our ECDSA certificates must be among OpenSSL's, too; it follows our order.
GROUPS = {dtls.NamedGroup.X25519: "X25519:P-256", dtls.NamedGroup.SECP256R1: "P-256"}
ROLES = pytest.mark.parametrize("role", list(dtls.Role), ids=lambda role: f"our-{role.name.lower()}")


def certificates(suite: dtls.CipherSuite) -> tuple[dtls.Certificate, dtls.Certificate]:
    return (OUR_RSA, THEIR_RSA) if "_RSA_" in suite.name else (OURS, THEIRS)


def connection(
    role: dtls.Role,
    ours: dtls.Certificate = OURS,
    theirs: dtls.Certificate = THEIRS,
    configuration: dtls.Configuration | None = None,
) -> dtls.Connection:
    return dtls.Connection(
        configuration or dtls.Configuration(),
        role=role,
        certificate=ours,
        remote_fingerprints=[theirs.fingerprint()],
        random_bytes=os.urandom,
    )


def in_memory(role: dtls.Role, mtu: int | None = None, **options: object) -> tuple[dtls.Connection, MemoryPeer]:
    ours = connection(role, **options)  # type: ignore[arg-type]
    theirs = MemoryPeer(THEIRS, is_client=role is dtls.Role.SERVER, mtu=mtu)
    ours.connect(0.0)
    exchange(ours, theirs)
    return ours, theirs


@ROLES
@pytest.mark.parametrize("group", list(GROUPS), ids=lambda group: group.name)
@pytest.mark.parametrize("suite", list(SUITES), ids=lambda suite: SUITES[suite])
def test_each_suite_and_group_over_udp(
    role: dtls.Role, suite: dtls.CipherSuite, group: dtls.NamedGroup, tmp_path: pathlib.Path
) -> None:
    ours, theirs = certificates(suite)
    tool = s_server if role is dtls.Role.CLIENT else s_client
    end = connection(role, ours, theirs)
    arguments = ["-cipher", SUITES[suite], "-curves", GROUPS[group]]
    with tool(end, write_pem(theirs, tmp_path), *arguments) as (endpoint, process):
        endpoint.run(lambda: end.state is not dtls.State.CONNECTING)
        assert end.state is dtls.State.CONNECTED, endpoint.events
        assert (end.cipher_suite, end.group, end.peer_certificate) == (suite, group, theirs.der)
        process.write(b"from openssl\n")
        endpoint.run(lambda: endpoint.received == [b"from openssl\n"])
        end.send([b"to openssl\n"], 0.0)
        endpoint.run(lambda: b"to openssl\n" in process.read())


@ROLES
@pytest.mark.parametrize(
    ("schemes", "theirs"),
    [("ECDSA+SHA384:ECDSA+SHA256", THEIRS), ("RSA-PSS+SHA256:RSA+SHA256", THEIR_RSA), ("RSA+SHA256", THEIR_RSA)],
    ids=["ecdsa-sha384", "rsa-pss", "rsa-pkcs1"],
)
def test_signatures_as_openssl_likes_them(
    role: dtls.Role, schemes: str, theirs: dtls.Certificate, tmp_path: pathlib.Path
) -> None:
    tool = s_server if role is dtls.Role.CLIENT else s_client
    end = connection(role, OUR_RSA if theirs is THEIR_RSA else OURS, theirs)
    arguments = ["-sigalgs", schemes, "-client_sigalgs", schemes]
    with tool(end, write_pem(theirs, tmp_path), *arguments) as (endpoint, process):
        endpoint.run(lambda: end.state is not dtls.State.CONNECTING)
        assert end.state is dtls.State.CONNECTED, endpoint.events
        end.send([b"to openssl\n"], 0.0)
        endpoint.run(lambda: b"to openssl\n" in process.read())


@ROLES
@pytest.mark.parametrize("mtu", [300, 548, 1200, 1400])
def test_each_mtu_over_udp(role: dtls.Role, mtu: int, tmp_path: pathlib.Path) -> None:
    tool = s_server if role is dtls.Role.CLIENT else s_client
    end = connection(role, configuration=dtls.Configuration(max_datagram_size=mtu))
    with tool(end, write_pem(THEIRS, tmp_path), "-mtu", str(mtu)) as (endpoint, process):
        endpoint.run(lambda: end.state is dtls.State.CONNECTED)
        end.send([b"to openssl\n"], 0.0)
        endpoint.run(lambda: b"to openssl\n" in process.read())


def test_cookie_of_a_listening_server(tmp_path: pathlib.Path) -> None:
    end = connection(dtls.Role.CLIENT)
    with s_server(end, write_pem(THEIRS, tmp_path), "-listen") as (endpoint, process):
        endpoint.run(lambda: end.state is dtls.State.CONNECTED)
        end.send([b"to openssl\n"], 0.0)
        endpoint.run(lambda: b"to openssl\n" in process.read())


def test_cookie_of_ours(tmp_path: pathlib.Path) -> None:
    end = connection(dtls.Role.SERVER, configuration=dtls.Configuration(require_cookie=True))
    with s_client(end, write_pem(THEIRS, tmp_path), "-mtu", "400") as (endpoint, process):
        endpoint.run(lambda: end.state is dtls.State.CONNECTED)
        process.write(b"from openssl\n")
        endpoint.run(lambda: endpoint.received == [b"from openssl\n"])


def test_openssl_ends_the_association(tmp_path: pathlib.Path) -> None:
    end = connection(dtls.Role.SERVER)  # s_server goes without a word
    with s_client(end, write_pem(THEIRS, tmp_path)) as (endpoint, process):
        endpoint.run(lambda: end.state is dtls.State.CONNECTED)
        process.write(b"Q\n")
        endpoint.run(lambda: end.state is dtls.State.CLOSED)
        assert endpoint.events[-1] == dtls.Closed(by_peer=True)


@ROLES
def test_we_end_the_association(role: dtls.Role, tmp_path: pathlib.Path) -> None:
    tool, word, arguments = (s_client, b"closed", [])
    if role is dtls.Role.CLIENT:
        tool, word, arguments = (s_server, b"CONNECTION CLOSED", ["-naccept", "1"])
    end = connection(role)
    with tool(end, write_pem(THEIRS, tmp_path), *arguments) as (endpoint, process):
        endpoint.run(lambda: end.state is dtls.State.CONNECTED)
        end.close(0.0)
        endpoint.run(lambda: word in process.read())


def test_openssl_that_negotiates_anew_is_ignored(tmp_path: pathlib.Path) -> None:
    end = connection(dtls.Role.SERVER)
    with s_client(end, write_pem(THEIRS, tmp_path)) as (endpoint, process):
        endpoint.run(lambda: end.state is dtls.State.CONNECTED)
        process.write(b"R\n")
        endpoint.run(lambda: end.statistics.renegotiations_ignored > 0)
        assert end.state is dtls.State.CONNECTED


@ROLES
@pytest.mark.parametrize("mtu", [None, 300, 1200])
def test_in_memory_data_exporter_and_srtp(role: dtls.Role, mtu: int | None) -> None:
    ours, theirs = in_memory(role, mtu)
    assert ours.state is dtls.State.CONNECTED
    assert theirs.is_connected
    label = "EXTRACTOR-dtls_srtp"
    assert theirs.ssl.export_keying_material(label.encode(), 60) == ours.export_keying_material(label, None, 60)
    assert theirs.ssl.export_keying_material(b"x", 9, b"") == ours.export_keying_material("x", b"", 9)
    assert theirs.ssl.export_keying_material(b"x", 9, b"context") == ours.export_keying_material("x", b"context", 9)
    assert theirs.ssl.get_selected_srtp_profile() == b"SRTP_AEAD_AES_128_GCM"
    assert ours.srtp_profile is dtls.SrtpProfile.SRTP_AEAD_AES_128_GCM
    for size in (1, 100, 1191, 16384):
        data = os.urandom(size)
        ours.send([data], 0.0)
        exchange(ours, theirs)
        assert theirs.read() == data
        theirs.ssl.send(data)
        exchange(ours, theirs)
        assert ours.take_received() == [data]


@ROLES
def test_in_memory_we_end_the_association(role: dtls.Role) -> None:
    ours, theirs = in_memory(role)
    ours.send([b"last words"], 0.0)
    ours.close(0.0)
    exchange(ours, theirs)
    assert theirs.read() == b"last words"
    with pytest.raises(SSL.ZeroReturnError):
        theirs.read()
    assert theirs.ssl.get_shutdown() & SSL.RECEIVED_SHUTDOWN


@ROLES
def test_in_memory_openssl_ends_the_association(role: dtls.Role) -> None:
    ours, theirs = in_memory(role)
    theirs.ssl.shutdown()
    exchange(ours, theirs)
    assert ours.take_events()[-1] == dtls.Closed(by_peer=True)
    assert theirs.ssl.shutdown()  # true once the peer's close_notify is there


@ROLES
def test_wrong_fingerprint_is_told_to_openssl(role: dtls.Role) -> None:
    ours = connection(role, theirs=OUR_RSA)
    theirs = MemoryPeer(THEIRS, is_client=role is dtls.Role.SERVER)
    ours.connect(0.0)
    exchange(ours, theirs)
    ours.handle_timeout(REFUSAL_GRACE)
    with pytest.raises(SSL.Error, match="alert bad certificate"):
        exchange(ours, theirs, REFUSAL_GRACE)
    events = ours.take_events()
    assert isinstance(events[-1], dtls.Failed)
    assert events[-1].failure.reason == "fingerprint mismatch"
    assert not any(isinstance(event, dtls.HandshakeCompleted) for event in events)
    assert not theirs.is_connected


def test_openssl_without_our_suites_is_refused() -> None:
    ours = connection(dtls.Role.SERVER)
    theirs = MemoryPeer(THEIRS, is_client=True, ciphers=b"DHE+AES")
    ours.connect(0.0)
    exchange(ours, theirs)
    ours.handle_timeout(REFUSAL_GRACE)
    with pytest.raises(SSL.Error):
        exchange(ours, theirs, REFUSAL_GRACE)
    [event] = ours.take_events()
    assert isinstance(event, dtls.Failed)
    assert event.failure.reason == "handshake refused"
