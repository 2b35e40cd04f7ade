"""Runs a handshake over an unreliable path: reassembly, flights and their repetition, the change of keys.

It is the part of a connection that a handshake of another version shares: which messages there are, and what they
mean, is the business of `client12` and `server12`.

Until the peer's keys are in use, nothing vouches for what arrives. So a message that is refused is put aside, and only
ends the handshake when no better one takes its place within `REFUSAL_GRACE`: who merely injects datagrams can end a
handshake only with a message that passes for a genuine one (a hello, a ClientKeyExchange or a CertificateRequest, which
DTLS 1.2 has no means to tell apart before Finished).
"""

from __future__ import annotations

from typing import TypeAlias, final

from xp2p_trio.dtls.alerts import Alert, AlertDescription
from xp2p_trio.dtls.client12 import ClientHandshake12
from xp2p_trio.dtls.flights import SMALLER_DATAGRAMS, Flight, FlightWriter, RetransmitTimer
from xp2p_trio.dtls.handshake import Fragment, decode_fragments
from xp2p_trio.dtls.handshake12 import PROTECTED_EPOCH, Party, Refusal, Session
from xp2p_trio.dtls.key_schedule12 import ConnectionSecrets
from xp2p_trio.dtls.parameters import HandshakeType, Role
from xp2p_trio.dtls.protection import Opener, PlaintextSealer, Sealer
from xp2p_trio.dtls.reassembly import Disposition, Reassembler
from xp2p_trio.dtls.server12 import ServerHandshake12
from xp2p_trio.dtls.states12 import Verdict
from xp2p_trio.dtls.statistics import Counters
from xp2p_trio.errors import DecodeError, Reason
from xp2p_trio.sansio import Timer

ALERT_GRACE = 2.0
"""Seconds after an unauthenticated fatal alert in which a living peer shows that it goes on with the handshake. On a
bad path it is one more repetition of our flight and the time to answer it, if those take longer."""

REFUSAL_GRACE = 2.0
"""Seconds that an unauthenticated message which was refused waits for a better one."""

_Handshake12: TypeAlias = ClientHandshake12 | ServerHandshake12


@final
class Handshaking:
    """One handshake, from the first flight to the repetition of the last.

    Attributes:
        sealers: for each epoch in which we write.
        opener: for the peer's protected records, since its change_cipher_spec.
        write_epoch: the newest epoch in which we write.
        session: what was agreed on, once everything is verified.
        secrets: for exporters and the key log, since our keys.
    """

    __slots__ = (
        "_change_cipher_spec_held",
        "_counters",
        "_handshake",
        "_listening",
        "_party",
        "_reassembler",
        "_refusal",
        "_refused",
        "_suspicion",
        "_suspicious_alert",
        "_timer",
        "_writer",
        "opener",
        "sealers",
        "secrets",
        "session",
        "write_epoch",
    )

    def __init__(self, party: Party, counters: Counters, now: float) -> None:
        configuration = party.configuration
        self._party = party
        self._counters = counters
        self._reassembler = Reassembler()
        self._writer = FlightWriter()
        self._timer = RetransmitTimer(
            initial=configuration.initial_retransmit_timeout,
            maximum=configuration.maximum_retransmit_timeout,
            limit=configuration.maximum_retransmissions,
            patience=configuration.handshake_timeout,
        )
        self._listening = Timer()
        self._suspicion = Timer()
        self._suspicious_alert: Alert | None = None
        self._refused = Timer()
        self._refusal: Refusal | None = None
        self._change_cipher_spec_held = False
        self.sealers: dict[int, PlaintextSealer | Sealer] = {0: PlaintextSealer()}
        self.opener: Opener | None = None
        self.write_epoch = 0
        self.session: Session | None = None
        self.secrets: ConnectionSecrets | None = None
        self._handshake: _Handshake12
        if party.role is Role.CLIENT:
            self._handshake = ClientHandshake12(party)
            self._begin_flight(now)
        else:
            self._handshake = ServerHandshake12(party)
            self._listening.start(now + configuration.handshake_timeout)

    @property
    def has_output(self) -> bool:
        """Whether a part of a flight has yet to leave."""
        return self._writer.has_output

    @property
    def deadline(self) -> float:
        """When `handle_timeout` is due."""
        return min(self._timer.deadline, self._listening.deadline, self._suspicion.deadline, self._refused.deadline)

    def build_datagram(self) -> bytes:
        """The next datagram of the flight that is on its way out."""
        size = self._party.configuration.max_datagram_size
        for timeouts, smaller in SMALLER_DATAGRAMS:
            if self._timer.timeouts >= timeouts:
                size = min(size, smaller)
        return self._writer.build_datagram(self.sealers, size)

    def receive_handshake(self, epoch: int, data: bytes, now: float) -> Refusal | None:
        """Take the content of a handshake record; a refusal ends the handshake."""
        try:
            fragments = decode_fragments(data)
        except DecodeError:
            self._counters.fragments_refused += 1
            return None
        for fragment in fragments:
            refusal = self._receive_fragment(epoch, fragment, now)
            if refusal is not None:
                return refusal
        return None

    def receive_change_cipher_spec(self, now: float) -> Refusal | None:
        """Take an unprotected change_cipher_spec. It proves nothing; what it permits is authenticated later."""
        verdict = self._handshake.receive_change_cipher_spec()
        if verdict is None:
            self._change_read_keys()
        elif verdict is Verdict.HOLD:
            self._change_cipher_spec_held = True
        return self._deliver(now)

    def suspect(self, alert: Alert, now: float) -> None:
        """Take an alert that nothing vouches for.

        Anybody can forge it, so it ends nothing by itself; but a peer that has really given up stays silent from now
        on, and then there is no need to wait for the end of all repetitions.
        """
        if self.session is None and not self._suspicion.is_running and not self._is_listening:
            self._suspicious_alert = alert
            self._suspicion.start(now + max(ALERT_GRACE, 2 * self._timer.retransmit_timeout))

    def handle_timeout(self, now: float) -> Refusal | None:
        """Repeat the flight, or give up."""
        if self._suspicion.expire(now):
            return Refusal(
                AlertDescription.HANDSHAKE_FAILURE,
                Reason.ALERT_RECEIVED,
                f"the peer refused the handshake ({self._suspicious_alert}) and has been silent since",
            )
        if self._refused.expire(now):
            return self._refusal
        if self._listening.expire(now):
            return self._time_out("no ClientHello arrived")
        if now < self._timer.deadline:
            return None
        if not self._timer.expire(now):
            return self._time_out(f"our flight was repeated {self._timer.timeouts} times without an answer")
        self._counters.retransmissions += 1
        self._writer.begin(self._writer.flight)
        return None

    def stop(self) -> None:
        """The connection has ended: no timer runs any more. What is on its way out may still leave."""
        self._timer.stop()
        self._listening.stop()
        self._suspicion.stop()
        self._refused.stop()

    def abandon_output(self) -> None:
        """Send nothing more of a flight."""
        self._writer.begin(())

    def _time_out(self, detail: str) -> Refusal:
        return Refusal(
            AlertDescription.HANDSHAKE_FAILURE,
            Reason.HANDSHAKE_TIMEOUT,
            f"{detail} within {self._party.configuration.handshake_timeout:g} s; "
            "the path carries nothing, or the peer does not speak DTLS 1.2",
        )

    def _receive_fragment(self, epoch: int, fragment: Fragment, now: float) -> Refusal | None:
        is_stale = fragment.message_seq < self._reassembler.next_message_seq
        if self.session is not None:
            # Established: the peer's Finished once more means that it misses ours (RFC 6347 section 4.2.4). Anything
            # else would negotiate anew, which we never do. RFC 8827 section 6.5 asks for the alert no_renegotiation
            # here, RFC 5246 section 7.4.1.1 permits silence: OpenSSL takes that alert for the end, and else goes on.
            if is_stale and fragment.handshake_type == HandshakeType.FINISHED:
                self._repeat_last_flight(now)
            else:
                self._counters.renegotiations_ignored += 1
            return None
        if fragment.handshake_type == HandshakeType.HELLO_REQUEST:
            # RFC 5246 section 7.4.1.1: ignored while a handshake goes on. It has no place in the order of its messages.
            self._counters.renegotiations_ignored += 1
            return None
        is_protected = self.opener is not None
        is_strange = self._is_listening and fragment.handshake_type not in self._handshake.first_types
        if is_strange or (is_protected and epoch < PROTECTED_EPOCH and not is_stale):
            self._counters.fragments_refused += 1
            return None
        match self._reassembler.add(fragment):
            case Disposition.STALE:
                # The peer repeats itself. So do we, by our own timer. RFC 6347 section 4.2.4 would answer each copy at
                # once, which where both time out before the round trip is over multiplies them.
                self._suspicion.stop()
                return None
            case Disposition.REFUSED:
                self._counters.fragments_refused += 1
                return None
            case Disposition.REPLACED:
                self._counters.fragments_refused += 1
        self._suspicion.stop()
        return self._deliver(now)

    def _deliver(self, now: float) -> Refusal | None:
        while self.session is None:
            reassembler = self._reassembler
            first_types = self._handshake.first_types
            message = reassembler.take_first_message(first_types) or reassembler.take_message()
            if message is None:
                break
            refusal = self._handshake.receive_message(message, now)
            if refusal is not None:
                if self.opener is not None:
                    return refusal
                reassembler.expect(0 if first_types else message.message_seq)
                self._put_aside(refusal, now)
                continue
            self._refused.stop()
            if self._handshake.first_types:
                # A request for a cookie leaves nothing behind, so that nobody can use it up (RFC 6347 section 4.2.1).
                reassembler.expect(0)
            protection = self._handshake.protection
            if protection is not None:
                self.sealers.setdefault(PROTECTED_EPOCH, protection.sealer)
                self.secrets = protection.secrets
            self.session = self._handshake.session
            if self._handshake.flight is not None:
                self._begin_flight(now)
            elif self.session is not None:
                # Our last flight is answered for good: repeating it again would make the peer repeat its own.
                self._timer.stop()
                self._writer.begin(())
            if self._change_cipher_spec_held and self._handshake.receive_change_cipher_spec() is None:
                self._change_read_keys()
        return None

    def _put_aside(self, refusal: Refusal, now: float) -> None:
        self._counters.messages_refused += 1
        if not self._refused.is_running:
            self._refusal = refusal
            self._refused.start(now + REFUSAL_GRACE)

    def _change_read_keys(self) -> None:
        protection = self._handshake.protection
        assert protection is not None
        self._change_cipher_spec_held = False
        self._refused.stop()  # from now on only what the peer's key protects counts
        self.opener = protection.opener
        self._reassembler.discard()

    def _begin_flight(self, now: float) -> None:
        flight: Flight | None = self._handshake.flight
        assert flight is not None
        self._handshake.flight = None
        self._writer.begin(flight)
        self.write_epoch = max(item.epoch for item in flight)
        if self.session is not None or self._is_listening:
            # The last flight, and a request for a cookie, are repeated only on demand (RFC 6347 sections 4.2.1, 4.2.4).
            self._timer.begin_final(now)
        else:
            self._timer.start(now)
            self._listening.stop()

    @property
    def _is_listening(self) -> bool:
        return self._party.role is Role.SERVER and bool(self._handshake.first_types)

    def _repeat_last_flight(self, now: float) -> None:
        if self._writer.has_output or not self._writer.flight:
            return
        if self._timer.accept_cue(now):
            self._counters.retransmissions_cued += 1
            self._writer.begin(self._writer.flight)
