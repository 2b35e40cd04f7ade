"""The connection as a layer: its words, its order of events, its refusals."""

from __future__ import annotations

import math

import pytest

from tests.dtls.duo import (
    CLIENT_CERTIFICATE,
    SERVER_CERTIFICATE,
    Duo,
    connected,
    failure,
    make_client,
    make_server,
)
from tests.dtls.forgery import record
from xp2p_trio import dtls
from xp2p_trio.dtls.connection import MAX_QUEUED_RECORDS
from xp2p_trio.errors import InvalidArgument, InvalidState, Reason
from xp2p_trio.sansio import Carrier


def test_is_a_carrier() -> None:
    carrier: Carrier[list[bytes], bytes, dtls.Event, bytes, bytes] = make_client()
    assert carrier.next_timeout() == math.inf


def test_what_is_known_before_and_after() -> None:
    duo = Duo()
    assert duo.client.role is dtls.Role.CLIENT
    assert duo.client.state is dtls.State.NEW
    duo.begin()
    assert duo.client.state is dtls.State.CONNECTING
    for end in (duo.client, duo.server):
        assert (end.version, end.cipher_suite, end.group, end.srtp_profile, end.peer_certificate) == (None,) * 5
    duo.run(lambda: duo.is_connected)
    suite = dtls.CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
    for end, remote in ((duo.client, SERVER_CERTIFICATE), (duo.server, CLIENT_CERTIFICATE)):
        assert (end.version, end.cipher_suite, end.group) == (dtls.Version.DTLS_1_2, suite, dtls.NamedGroup.X25519)
        assert end.srtp_profile is dtls.SrtpProfile.SRTP_AEAD_AES_128_GCM
        assert end.peer_certificate == remote.der
    expected = dtls.HandshakeCompleted(dtls.Version.DTLS_1_2, suite, dtls.NamedGroup.X25519, SERVER_CERTIFICATE.der)
    assert duo.events[dtls.Role.CLIENT] == [expected]


@pytest.mark.parametrize("group", list(dtls.NamedGroup))
@pytest.mark.parametrize("suite", list(dtls.CipherSuite))
def test_each_suite_and_group(suite: dtls.CipherSuite, group: dtls.NamedGroup) -> None:
    client, server = CLIENT_CERTIFICATE, SERVER_CERTIFICATE
    if "_RSA_" in suite.name:
        client, server = (dtls.Certificate.generate(key_type="rsa") for _ in range(2))
    only = dtls.Configuration(cipher_suites=(suite,), groups=(group,))
    for client_configuration, server_configuration in ((only, None), (None, only)):
        duo = Duo(
            make_client(client_configuration, certificate=client, remote=server),
            make_server(server_configuration, certificate=server, remote=client),
        ).connect()
        assert (duo.client.cipher_suite, duo.client.group) == (duo.server.cipher_suite, duo.server.group)
        assert (duo.client.cipher_suite, duo.client.group) == (suite, group)
        duo.echo()


def test_server_chooses_by_its_own_preference() -> None:
    server = dtls.Configuration(
        cipher_suites=list(reversed(dtls.Configuration().cipher_suites)),  # type: ignore[arg-type]
        groups=[dtls.NamedGroup.SECP256R1, dtls.NamedGroup.X25519],  # type: ignore[arg-type]
        srtp_profiles=[dtls.SrtpProfile.SRTP_AES128_CM_HMAC_SHA1_80],  # type: ignore[arg-type]
    )
    duo = Duo(server=make_server(server)).connect()
    assert duo.client.cipher_suite is dtls.CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
    assert duo.client.group is dtls.NamedGroup.SECP256R1
    assert duo.client.srtp_profile is dtls.SrtpProfile.SRTP_AES128_CM_HMAC_SHA1_80


def test_no_common_srtp_profile_is_no_reason_to_refuse() -> None:
    server = dtls.Configuration(srtp_profiles=(dtls.SrtpProfile.SRTP_AES128_CM_HMAC_SHA1_80,))
    client = dtls.Configuration(srtp_profiles=(dtls.SrtpProfile.SRTP_AEAD_AES_256_GCM,))
    duo = Duo(make_client(client), make_server(server)).connect()
    assert duo.client.srtp_profile is duo.server.srtp_profile is None


@pytest.mark.parametrize(
    ("client", "server", "what"),
    [
        (
            dtls.Configuration(groups=(dtls.NamedGroup.X25519,)),
            dtls.Configuration(groups=(dtls.NamedGroup.SECP256R1,)),
            "group",
        ),
        (
            dtls.Configuration(cipher_suites=(0xC02B,)),  # type: ignore[arg-type]
            dtls.Configuration(cipher_suites=(0xC02C,)),  # type: ignore[arg-type]
            "cipher suite",
        ),
    ],
)
def test_nothing_in_common(client: dtls.Configuration, server: dtls.Configuration, what: str) -> None:
    duo = Duo(make_client(client), make_server(server))
    duo.begin()
    duo.run(seconds=10)
    event = failure(duo.server, duo.events[dtls.Role.SERVER])
    assert event.failure.reason is Reason.HANDSHAKE_REFUSED
    assert what in event.failure.detail
    told = failure(duo.client, duo.events[dtls.Role.CLIENT])
    assert told.failure.reason is Reason.ALERT_RECEIVED


def test_close_says_so_after_what_was_sent() -> None:
    duo = connected()
    duo.client.send([b"last", b"words"], duo.now)
    duo.client.close(duo.now)
    assert duo.client.state is dtls.State.CLOSED
    assert len(duo.client.transmit(duo.now, 1)) == 1
    rest = duo.client.transmit(duo.now, 100)
    assert len(rest) == 2
    assert duo.client.transmit(duo.now, 100) == []
    assert duo.client.take_events() == [dtls.Closed(by_peer=False)]


def test_close_arrives_and_is_answered() -> None:
    duo = connected()
    duo.client.send([b"last"], duo.now)
    duo.client.close(duo.now)
    duo.pull()
    duo.settle()
    assert duo.server.take_received() == [b"last"]
    assert duo.events[dtls.Role.SERVER][-1] == dtls.Closed(by_peer=True)
    assert duo.events[dtls.Role.CLIENT][-1] == dtls.Closed(by_peer=False)
    for end in (duo.client, duo.server):
        assert end.state is dtls.State.CLOSED
        assert end.next_timeout() == math.inf


def test_data_and_close_in_one_batch() -> None:
    duo = connected()
    duo.client.send([b"a", b"b"], duo.now)
    duo.client.close(duo.now)
    duo.server.receive([*duo.client.transmit(duo.now, 10), b"\x17" * 40], duo.now)
    assert duo.server.take_received() == [b"a", b"b"]
    assert duo.server.state is dtls.State.CLOSED


@pytest.mark.parametrize("flights", range(4))
def test_close_during_the_handshake(flights: int) -> None:
    for closing in dtls.Role:
        duo = Duo()
        duo.begin()
        for index in range(flights):
            sender, receiver = (duo.client, duo.server) if index % 2 == 0 else (duo.server, duo.client)
            receiver.receive(sender.transmit(0.0, 100), 0.0)
        end, other = (duo.client, duo.server) if closing is dtls.Role.CLIENT else (duo.server, duo.client)
        end.close(0.0)
        assert end.state is dtls.State.CLOSED
        assert end.take_events()[-1] == dtls.Closed(by_peer=False)
        other.receive(end.transmit(0.0, 100), 0.0)
        for _ in range(20):
            other.handle_timeout(other.next_timeout())
            other.transmit(0.0, 100)
        assert other.state in (dtls.State.FAILED, dtls.State.CLOSED)


def test_close_before_connect() -> None:
    client = make_client()
    client.close(0.0)
    client.close(0.0)
    assert client.take_events() == [dtls.Closed(by_peer=False)]
    assert client.transmit(0.0, 10) == []
    with pytest.raises(InvalidState):
        client.connect(0.0)


def test_fatal_alert_under_keys_ends_it() -> None:
    """Sent by an honest end that has reached a limit of its own."""
    duo = connected(dtls.Configuration(forgery_limit=1))
    duo.server.receive([record(23, bytes(40), epoch=1, sequence_number=9)], duo.now)
    duo.client.receive(duo.server.transmit(duo.now, 10), duo.now)
    event = failure(duo.client, duo.client.take_events())
    assert event.failure.reason is Reason.ALERT_RECEIVED
    assert "internal_error" in event.failure.detail
    assert duo.client.transmit(duo.now, 10) == []


def test_misuse_is_refused_and_changes_nothing() -> None:
    duo = Duo()
    with pytest.raises(InvalidState, match="NEW"):
        duo.client.send([b"x"], 0.0)
    duo.begin()
    with pytest.raises(InvalidState, match="once"):
        duo.client.connect(0.0)
    with pytest.raises(InvalidState, match="HandshakeCompleted"):
        duo.client.send([b"x"], 0.0)
    duo.run(lambda: duo.is_connected)
    with pytest.raises(InvalidArgument, match="16385"):
        duo.client.send([b"fine", bytes(16385)], duo.now)
    assert duo.client.transmit(duo.now, 10) == []
    with pytest.raises(InvalidState, match="transmit"):
        duo.client.send([b"x"] * (MAX_QUEUED_RECORDS + 1), duo.now)
    assert duo.client.transmit(duo.now, 10) == []
    duo.echo()


def test_largest_and_smallest_records() -> None:
    duo = connected()
    duo.client.send([bytes(16384), b""], duo.now)
    duo.server.receive(duo.client.transmit(duo.now, 10), duo.now)
    assert duo.server.take_received() == [bytes(16384), b""]


def test_data_that_nobody_takes_has_an_end() -> None:
    duo = connected()
    for _ in range(3):
        duo.client.send([b"x"] * MAX_QUEUED_RECORDS, duo.now)
        duo.server.receive(duo.client.transmit(duo.now, MAX_QUEUED_RECORDS), duo.now)
    assert len(duo.server.take_received()) == MAX_QUEUED_RECORDS
    assert duo.server.statistics.records_dropped == 2 * MAX_QUEUED_RECORDS
    duo.echo()


def test_transmit_keeps_its_limit() -> None:
    duo = connected()
    duo.client.send([b"%d" % index for index in range(10)], duo.now)
    assert duo.client.transmit(duo.now, 0) == []
    assert [len(duo.client.transmit(duo.now, 4)) for _ in range(4)] == [4, 4, 2, 0]
    small = make_client(dtls.Configuration(max_datagram_size=256))
    small.connect(0.0)
    assert small.transmit(0.0, 0) == []


@pytest.mark.parametrize("size", [256, 300, 548, 1200, 1400])
def test_flights_keep_to_the_size_of_a_datagram(size: int) -> None:
    duo = Duo(configuration=dtls.Configuration(max_datagram_size=size)).connect()
    assert max(len(datagram) for _, datagram in duo.sent) <= size
    total = sum(len(datagram) for _, datagram in duo.sent)
    assert len(duo.sent) <= 4 + total // (size - 110)


def test_a_batch_is_its_datagrams_one_by_one() -> None:
    together, single = connected(), connected()
    for duo, step in ((together, 100), (single, 1)):
        duo.client.send([b"%d" % index for index in range(30)], duo.now)
        duo.client.close(duo.now)
        records = duo.client.transmit(duo.now, 100)
        records = [*records[:10], b"", *records[5:], b"junk"]
        for index in range(0, len(records), step):
            duo.server.receive(records[index : index + step], duo.now)
    assert together.server.take_received() == single.server.take_received()
    assert together.server.take_events() == single.server.take_events()
    assert together.server.statistics == single.server.statistics


def test_time_never_runs_back() -> None:
    client = make_client()
    client.connect(100.0)
    client.transmit(100.0, 10)
    client.handle_timeout(1.0)
    assert client.next_timeout() == 100.05
    client.receive([b""], 110.0)
    client.handle_timeout(1.0)
    assert client.next_timeout() > 110.0
    client.handle_timeout(200.0)
    assert client.state is dtls.State.FAILED


def test_statistics_are_a_snapshot() -> None:
    duo = connected()
    before = duo.server.statistics
    duo.client.send([b"12345", b"678"], duo.now)
    duo.server.receive(duo.client.transmit(duo.now, 10), duo.now)
    after = duo.server.statistics
    assert (after.records_received - before.records_received, after.bytes_received) == (2, 8)
    assert (duo.client.statistics.records_sent, duo.client.statistics.bytes_sent) == (2, 8)
    assert before.bytes_received == 0


def test_key_log_only_on_demand() -> None:
    assert connected().client.key_log_lines == ()
    duo = connected(dtls.Configuration(key_log=True))
    [line] = duo.client.key_log_lines
    assert duo.server.key_log_lines == (line,)
    label, client_random, master_secret = line.split(" ")
    assert (label, len(client_random), len(master_secret)) == ("CLIENT_RANDOM", 64, 96)
    assert client_random == duo.sent[0][1][27:59].hex()


def test_secrets_are_not_in_any_repr() -> None:
    duo = connected(dtls.Configuration(key_log=True))
    secret = duo.client.key_log_lines[0].split(" ")[2]
    for item in (duo.client, duo.client.statistics, CLIENT_CERTIFICATE, *duo.events[dtls.Role.CLIENT]):
        assert secret not in repr(item)
        assert "PRIVATE" not in repr(item)
