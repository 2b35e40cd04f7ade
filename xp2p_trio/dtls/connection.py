"""`Connection`: a DTLS association as a layer. It joins the handshake, the protection of records and the alerts.

    records in --> split --> epoch, type, state --> replay window --> AEAD --> handshake | alert | application data

An association that is established ends by an authenticated alert or by our own `close`, and by nothing else that
arrives.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from typing import final

from xp2p_trio.dtls.alerts import Alert, AlertDescription, AlertLevel, decode_alert, encode_alert
from xp2p_trio.dtls.certificate import Certificate
from xp2p_trio.dtls.configuration import Configuration
from xp2p_trio.dtls.events import Event, HandshakeCompleted
from xp2p_trio.dtls.fingerprint import Fingerprint, strongest_fingerprints
from xp2p_trio.dtls.handshake12 import PROTECTED_EPOCH, Party, Refusal, Session
from xp2p_trio.dtls.handshaking import Handshaking
from xp2p_trio.dtls.key_schedule12 import RESERVED_LABELS, ConnectionSecrets
from xp2p_trio.dtls.parameters import CipherSuite, ContentType, NamedGroup, Role, SrtpProfile, Version
from xp2p_trio.dtls.protection import Opener, Sealer
from xp2p_trio.dtls.record import (
    MAX_PLAINTEXT_SIZE,
    RECORD_HEADER,
    RECORD_HEADER_SIZE,
    Record,
    decode_records,
)
from xp2p_trio.dtls.replay import ReplayWindow
from xp2p_trio.dtls.statistics import Counters, Statistics
from xp2p_trio.errors import DecodeError, Failure, InvalidArgument, InvalidState, Reason
from xp2p_trio.sansio import Closed, Failed, RandomBytes

MAX_PARKED_RECORDS = 16
MAX_PARKED_SIZE = 16 * 1024
"""Records that came before their keys, or application data before the end of the handshake; and datagrams that came
before `connect`."""

MAX_EARLY_DATAGRAM_SIZE = 2048
"""Of a datagram that came before `connect`: more than a path carries in one."""

MAX_QUEUED_RECORDS = 4096
"""Application data that was not yet pulled, in either direction."""

_APPLICATION_DATA_PREFIX = bytes((ContentType.APPLICATION_DATA,)) + Version.DTLS_1_2.to_bytes(2, "big") + b"\x00\x01"
"""How a record of application data begins: its type, the version, epoch 1."""


class State(enum.IntEnum):
    """Where a connection is."""

    NEW = 0
    CONNECTING = 1
    CONNECTED = 2
    CLOSED = 3
    FAILED = 4


@final
class Connection:
    """One DTLS association with one peer (a `Carrier` of bytes over datagrams).

    Args:
        configuration: the settings.
        role: which side begins.
        certificate: our identity.
        remote_fingerprints: the identity that the peer's description announced; at least one of sha-256, sha-384 or
            sha-512. It is always compared, there is no switch.
        random_bytes: source of randomness.

    Raises:
        InvalidArgument: none of the fingerprints can be used.
    """

    __slots__ = (
        "_alert",
        "_configuration",
        "_counters",
        "_early",
        "_events",
        "_handshaking",
        "_now",
        "_opener",
        "_outgoing",
        "_parked",
        "_parked_size",
        "_party",
        "_received",
        "_sealer",
        "_secrets",
        "_session",
        "_state",
        "_window",
    )

    def __init__(
        self,
        configuration: Configuration,
        *,
        role: Role,
        certificate: Certificate,
        remote_fingerprints: Sequence[Fingerprint],
        random_bytes: RandomBytes,
    ) -> None:
        if not strongest_fingerprints(remote_fingerprints):
            names = ", ".join(fingerprint.algorithm for fingerprint in remote_fingerprints) or "none"
            raise InvalidArgument(
                f"remote_fingerprints has none that can be used (given: {names}); sha-256, sha-384 or sha-512 is needed"
            )
        self._configuration = configuration
        self._party = Party(configuration, Role(role), certificate, tuple(remote_fingerprints), random_bytes)
        self._state = State.NEW
        self._now = -math.inf
        self._counters = Counters()
        self._events: list[Event] = []
        self._early: list[bytes] = []
        self._received: list[bytes] = []
        self._outgoing: list[bytes] = []
        self._alert: tuple[int, Alert] | None = None
        self._handshaking: Handshaking | None = None
        self._session: Session | None = None
        self._secrets: ConnectionSecrets | None = None
        self._sealer: Sealer | None = None
        self._opener: Opener | None = None
        self._window = ReplayWindow()
        self._parked: list[Record] = []
        self._parked_size = 0

    @property
    def state(self) -> State:
        """Where the connection is."""
        return self._state

    @property
    def role(self) -> Role:
        """Which side we are."""
        return self._party.role

    @property
    def version(self) -> Version | None:
        """The protocol version, once connected."""
        return None if self._session is None else self._session.version

    @property
    def cipher_suite(self) -> CipherSuite | None:
        """The cipher suite, once connected."""
        return None if self._session is None else self._session.cipher_suite

    @property
    def group(self) -> NamedGroup | None:
        """The group of the key exchange, once connected."""
        return None if self._session is None else self._session.group

    @property
    def srtp_profile(self) -> SrtpProfile | None:
        """The SRTP profile, once connected and if there is a common one."""
        return None if self._session is None else self._session.srtp_profile

    @property
    def peer_certificate(self) -> bytes | None:
        """DER of the peer's certificate, once connected and so verified."""
        return None if self._session is None else self._session.peer_certificate

    @property
    def statistics(self) -> Statistics:
        """A snapshot of the counters."""
        return self._counters.snapshot()

    @property
    def key_log_lines(self) -> tuple[str, ...]:
        """Lines for an SSLKEYLOGFILE, once connected; none unless the configuration asks for them."""
        if self._secrets is None or not self._configuration.key_log:
            return ()
        return (self._secrets.key_log_line,)

    def export_keying_material(self, label: str, context: bytes | None, length: int) -> bytes:
        """Key material that both ends share and nobody else (RFC 5705).

        Args:
            label: ASCII, for example "EXTRACTOR-dtls_srtp".
            context: mixed in, if it is not None; an empty one differs from None.
            length: bytes.

        Raises:
            InvalidState: the connection is not connected.
            InvalidArgument: the label is not ASCII or is one of TLS itself, or a length is out of range.
        """
        if self._state is not State.CONNECTED or self._secrets is None:
            raise InvalidState(f"there is no key material in state {self._state.name}; wait for HandshakeCompleted")
        if not label.isascii() or not label:
            raise InvalidArgument(f"label {label!r} is not ASCII text")
        if label in RESERVED_LABELS:
            raise InvalidArgument(f"label {label!r} is one that TLS uses itself")
        if length < 0 or (context is not None and len(context) > 0xFFFF):
            raise InvalidArgument("length is negative, or context longer than 65535 bytes")
        return self._secrets.export(label, context, length)

    def connect(self, now: float) -> None:
        """Begin: a client queues its ClientHello, a server listens for one.

        Raises:
            InvalidState: it was begun before.
        """
        if self._state is not State.NEW:
            raise InvalidState(f"connect() in state {self._state.name}; a connection is begun once")
        now = self._advance(now)
        self._state = State.CONNECTING
        self._handshaking = Handshaking(self._party, self._counters, now)
        early, self._early = self._early, []
        for datagram in early:
            self._receive_datagram(datagram, now)

    def close(self, now: float) -> None:
        """End the association: what was sent leaves, then close_notify. Harmless when it has ended already."""
        self._advance(now)
        if self._state in (State.CLOSED, State.FAILED):
            return
        if self._handshaking is not None:
            self._alert = (
                self._handshaking.write_epoch,
                Alert(AlertLevel.WARNING, AlertDescription.CLOSE_NOTIFY),
            )
        self._end(State.CLOSED, Closed(by_peer=False))

    def send(self, items: Sequence[bytes], now: float) -> None:
        """Queue application data, one record each.

        Raises:
            InvalidState: the connection is not connected, or `transmit` has not been called for too long.
            InvalidArgument: an item is larger than a record may be.
        """
        self._advance(now)
        if self._state is not State.CONNECTED:
            raise InvalidState(f"send() in state {self._state.name}; wait for HandshakeCompleted")
        for item in items:
            if len(item) > MAX_PLAINTEXT_SIZE:
                raise InvalidArgument(f"{len(item)} bytes are more than the {MAX_PLAINTEXT_SIZE} that a record holds")
        if len(self._outgoing) + len(items) > MAX_QUEUED_RECORDS:
            raise InvalidState(f"more than {MAX_QUEUED_RECORDS} records are waiting; pull transmit() first")
        self._outgoing.extend(items)

    def take_received(self) -> list[bytes]:
        """Drain the application data that arrived, oldest first."""
        received = self._received
        self._received = []
        return received

    def take_events(self) -> list[Event]:
        """Drain the news, oldest first."""
        events = self._events
        self._events = []
        return events

    def next_timeout(self) -> float:
        """When `handle_timeout` is due; `math.inf` when idle."""
        return math.inf if self._handshaking is None else self._handshaking.deadline

    def handle_timeout(self, now: float) -> None:
        """Repeat a flight, or give up, if it is time."""
        now = self._advance(now)
        if self._handshaking is not None and self._state is State.CONNECTING:
            refusal = self._handshaking.handle_timeout(now)
            if refusal is not None:
                self._fail(refusal)

    def transmit(self, now: float, limit: int) -> list[bytes]:
        """Build at most `limit` datagrams: flights first, then one record of application data each, then an alert."""
        self._advance(now)
        datagrams: list[bytes] = []
        handshaking = self._handshaking
        if handshaking is not None:
            while handshaking.has_output and len(datagrams) < limit:
                datagram = handshaking.build_datagram()
                if datagram:
                    datagrams.append(datagram)
        room = limit - len(datagrams)
        if self._outgoing and room > 0 and self._sealer is not None:
            batch = self._outgoing[:room]
            del self._outgoing[:room]
            records = self._sealer.seal(ContentType.APPLICATION_DATA, batch)
            self._counters.records_sent += len(records)
            self._counters.bytes_sent += sum(map(len, batch[: len(records)]))
            datagrams += records
            if len(records) < len(batch) and self._state is State.CONNECTED:
                self._exhaust(f"{self._configuration.record_limit} records were sealed under one key")
        if self._alert is not None and not self._outgoing and len(datagrams) < limit and handshaking is not None:
            epoch, alert = self._alert
            datagrams += handshaking.sealers[epoch].seal(ContentType.ALERT, (encode_alert(alert),))
            self._alert = None
            self._handshaking = None  # it was the last word, and with it go the keys
            self._sealer = None
        return datagrams

    def receive(self, datagrams: Sequence[bytes], now: float) -> None:
        """Take datagrams of the peer; whatever is in them, this never raises."""
        now = self._advance(now)
        counters = self._counters
        unpack = RECORD_HEADER.unpack_from
        window = self._window
        opener = self._opener
        is_connected = self._state is State.CONNECTED
        for datagram in datagrams:
            counters.datagrams_received += 1
            if is_connected and opener is not None and datagram[:5] == _APPLICATION_DATA_PREFIX:
                size = len(datagram) - RECORD_HEADER_SIZE
                if size > 0:
                    _, _, _, upper, lower, length = unpack(datagram)
                    if size == length:
                        sequence_number = upper << 32 | lower
                        if window.is_replay(sequence_number):
                            counters.records_replayed += 1
                            continue
                        plaintext = opener.open(
                            ContentType.APPLICATION_DATA, sequence_number, datagram[RECORD_HEADER_SIZE:]
                        )
                        if plaintext is None:
                            self._count_forgery()
                            is_connected = self._state is State.CONNECTED
                        else:
                            window.accept(sequence_number)
                            self._deliver(plaintext)
                        continue
            self._receive_datagram(datagram, now)
            is_connected = self._state is State.CONNECTED
            opener = self._opener

    def _advance(self, now: float) -> float:
        self._now = max(self._now, now)
        return self._now

    def _receive_datagram(self, datagram: bytes, now: float) -> None:
        if self._state is State.NEW:
            if len(self._early) < MAX_PARKED_RECORDS and len(datagram) <= MAX_EARLY_DATAGRAM_SIZE:
                self._early.append(datagram)
            else:
                self._counters.records_discarded += 1
            return
        try:
            records = decode_records(datagram)
        except DecodeError:
            self._counters.datagrams_malformed += 1
            return
        for record in records:
            self._receive_record(record, now)

    def _receive_record(self, record: Record, now: float) -> None:
        handshaking = self._handshaking
        if handshaking is None or self._state not in (State.CONNECTING, State.CONNECTED):
            self._counters.records_discarded += 1
        elif record.epoch == 0:
            self._receive_unprotected(handshaking, record, now)
        elif record.epoch != PROTECTED_EPOCH or record.version != Version.DTLS_1_2:
            self._counters.records_discarded += 1
        elif handshaking.opener is None or (
            record.content_type == ContentType.APPLICATION_DATA and self._state is not State.CONNECTED
        ):
            self._park(record)
        else:
            self._receive_protected(handshaking, handshaking.opener, record, now)

    def _receive_unprotected(self, handshaking: Handshaking, record: Record, now: float) -> None:
        """Nothing vouches for a record of epoch 0: it can help a handshake along, and no more."""
        if record.content_type == ContentType.ALERT:
            self._counters.alerts_ignored += 1
            try:
                alert = decode_alert(record.fragment)
            except DecodeError:
                return
            if alert.level == AlertLevel.FATAL or alert.description == AlertDescription.CLOSE_NOTIFY:
                handshaking.suspect(alert, now)
        elif self._state is State.CONNECTED:
            self._counters.records_discarded += 1
        elif record.content_type == ContentType.HANDSHAKE:
            self._after_handshake(handshaking, handshaking.receive_handshake(0, record.fragment, now), now)
        elif record.content_type == ContentType.CHANGE_CIPHER_SPEC and record.fragment == b"\x01":
            self._after_handshake(handshaking, handshaking.receive_change_cipher_spec(now), now)
        else:
            self._counters.records_discarded += 1

    def _receive_protected(self, handshaking: Handshaking, opener: Opener, record: Record, now: float) -> None:
        if self._window.is_replay(record.sequence_number):
            self._counters.records_replayed += 1
            return
        plaintext = opener.open(record.content_type, record.sequence_number, record.fragment)
        if plaintext is None:
            self._count_forgery()
            return
        self._window.accept(record.sequence_number)
        if record.content_type == ContentType.APPLICATION_DATA:
            self._deliver(plaintext)
        elif record.content_type == ContentType.HANDSHAKE:
            refusal = handshaking.receive_handshake(PROTECTED_EPOCH, plaintext, now)
            self._after_handshake(handshaking, refusal, now)
        elif record.content_type == ContentType.ALERT:
            self._receive_alert(plaintext)
        else:
            self._counters.records_discarded += 1

    def _receive_alert(self, data: bytes) -> None:
        """An alert under the peer's key."""
        try:
            alert = decode_alert(data)
        except DecodeError:
            self._counters.records_discarded += 1
            return
        if alert.description == AlertDescription.CLOSE_NOTIFY:
            # RFC 5246 section 7.2.1: answer at once, and discard what was not yet written.
            self._outgoing.clear()
            self._alert = (PROTECTED_EPOCH, Alert(AlertLevel.WARNING, AlertDescription.CLOSE_NOTIFY))
            self._end(State.CLOSED, Closed(by_peer=True))
        elif alert.level == AlertLevel.FATAL:
            self._outgoing.clear()
            self._end(
                State.FAILED, Failed(Failure("dtls", Reason.ALERT_RECEIVED, f"the peer sent a fatal alert: {alert}"))
            )
        else:
            self._counters.alerts_ignored += 1

    def _after_handshake(self, handshaking: Handshaking, refusal: Refusal | None, now: float) -> None:
        if refusal is not None:
            self._fail(refusal)
            return
        session = handshaking.session
        if session is not None and self._state is State.CONNECTING:
            self._complete(handshaking, session)
        if self._parked and handshaking.opener is not None:
            parked = self._parked
            self._parked = []
            self._parked_size = 0
            for record in parked:
                self._receive_record(record, now)

    def _complete(self, handshaking: Handshaking, session: Session) -> None:
        """The one way to be connected: Finished, CertificateVerify and fingerprint are verified."""
        sealer = handshaking.sealers[PROTECTED_EPOCH]
        assert isinstance(sealer, Sealer)
        self._sealer = sealer
        self._opener = handshaking.opener
        self._session = session
        self._secrets = handshaking.secrets
        self._state = State.CONNECTED
        self._events.append(
            HandshakeCompleted(session.version, session.cipher_suite, session.group, session.peer_certificate)
        )

    def _park(self, record: Record) -> None:
        if len(self._parked) == MAX_PARKED_RECORDS or self._parked_size + len(record.fragment) > MAX_PARKED_SIZE:
            self._counters.records_discarded += 1
            return
        self._parked.append(record)
        self._parked_size += len(record.fragment)
        self._counters.records_parked += 1

    def _deliver(self, plaintext: bytes) -> None:
        counters = self._counters
        if len(self._received) >= MAX_QUEUED_RECORDS:
            counters.records_dropped += 1
            return
        counters.records_received += 1
        counters.bytes_received += len(plaintext)
        self._received.append(plaintext)

    def _count_forgery(self) -> None:
        self._counters.records_forged += 1
        if self._counters.records_forged >= self._configuration.forgery_limit:
            self._exhaust(f"{self._counters.records_forged} records did not open under one key")

    def _exhaust(self, detail: str) -> None:
        self._fail(
            Refusal(
                AlertDescription.INTERNAL_ERROR,
                Reason.LIMIT_EXCEEDED,
                f"{detail}, which is as much as it may be used; connect anew",
            )
        )

    def _fail(self, refusal: Refusal) -> None:
        handshaking = self._handshaking
        assert handshaking is not None
        self._outgoing.clear()
        handshaking.abandon_output()
        self._alert = (handshaking.write_epoch, Alert(AlertLevel.FATAL, refusal.alert))
        self._end(State.FAILED, Failed(Failure("dtls", refusal.reason, refusal.detail)))

    def _end(self, state: State, event: Closed | Failed) -> None:
        handshaking = self._handshaking
        if handshaking is not None:
            handshaking.stop()
            if self._alert is None:
                self._handshaking = None
                self._sealer = None
        self._state = state
        self._opener = None
        if not self._configuration.key_log:
            self._secrets = None
        self._parked.clear()
        self._parked_size = 0
        self._early.clear()
        self._events.append(event)
