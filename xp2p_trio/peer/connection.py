"""The whole stack as one sans-IO object: offer and answer beside it, ICE, DTLS, SCTP and data channels inside it.

          offer, answer, candidates                 messages
                     |                          up ^        | down
              +--------------+            +------------------------+
              |  Negotiator  |            |       ChannelMux       |
              +--------------+            +------------------------+
                     | Agreement          |    sctp.Association    |
                     v                    +------------------------+
              starts the layers ------>   |    dtls.Connection     |
                                          +------------------------+
                                          |       ice.Agent        |
                                          +------------------------+
                                            in ^   bursts    | out

One call a batch a hop. `_observe` is the only place where the layers learn of each other.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from typing import Final, final

import attrs

from xp2p_trio import datachannel, dtls, ice, sctp
from xp2p_trio.errors import Failure, InvalidState, Reason
from xp2p_trio.peer import events as peer_events
from xp2p_trio.peer.configuration import Configuration
from xp2p_trio.peer.descriptions import IceCandidate, SessionDescription
from xp2p_trio.peer.events import Event
from xp2p_trio.peer.negotiation import Agreement, Negotiator
from xp2p_trio.peer.signaling import SignalingState
from xp2p_trio.peer.state import TRANSITIONS, ConnectionState, GatheringState, Input
from xp2p_trio.peer.statistics import Statistics
from xp2p_trio.sansio import Address, Burst, Closed, Failed, RandomBytes, Timer
from xp2p_trio.sdp import DataDescription, FingerprintAttribute, Setup

LAST_WORDS_TIME: Final = 1.0
"""Seconds that the last alert or ABORT may wait to be pulled before the connection ends without it."""

MESSAGES_A_PASS: Final = 64
"""How many messages move from the channels to SCTP before its free send buffer is looked at again."""


class _Phase(enum.Enum):
    OPEN = "in use"
    CLOSING = "SCTP delivers what was accepted, then says goodbye"
    LAST_WORDS = "the last records leave"
    OVER = "inert"


@final
@attrs.define
class _Transport:
    """The layers that exist once both descriptions are known."""

    dtls: dtls.Connection
    association: sctp.Association
    remote_max_message_size: int
    is_dtls_client: bool


@final
class Connection:
    """One peer connection (RFC 9429) without I/O: a `Carrier` of bursts, and of messages by channel id.

    The commands are the browser's, in snake case; those that touch a timer take `now` last. A channel id is the
    connection's own number of a channel, known before its SCTP stream is, and never used twice.
    """

    def __init__(self, configuration: Configuration | None = None, *, random_bytes: RandomBytes) -> None:
        """Make a connection that waits for descriptions.

        Args:
            configuration: what was chosen; the defaults suit two peers anywhere.
            random_bytes: the source of every key, credential and number.
        """
        self._configuration = configuration = configuration or Configuration()
        self._random_bytes = random_bytes
        self._certificate = configuration.certificate or dtls.Certificate.generate(random_bytes)
        self._agent = ice.Agent(
            configuration.ice,
            role=ice.Role.CONTROLLING,
            random_bytes=random_bytes,
            consent_interval=configuration.consent_interval,
        )
        self._tls_id = random_bytes(16).hex()
        self._negotiator = Negotiator(int.from_bytes(random_bytes(8)) >> 2, self._describe)
        self._channels = datachannel.ChannelMux(configuration.channels)
        self._transport: _Transport | None = None
        self._early_candidates: list[IceCandidate] = []
        self._state = ConnectionState.NEW
        self._gathering_state = GatheringState.NEW
        self._phase = _Phase.OPEN
        self._last_word: Closed | Failed = Closed()
        self._has_path = False
        self._deadline = Timer()
        self._events: list[Event] = []
        self._held_back = False
        self._now = -math.inf

    # --- what a program asks

    @property
    def configuration(self) -> Configuration:
        """What was chosen when the connection was made."""
        return self._configuration

    @property
    def state(self) -> ConnectionState:
        """The state of the whole connection."""
        return self._state

    @property
    def ice_state(self) -> ice.State:
        """The state of ICE."""
        return self._agent.state

    @property
    def gathering_state(self) -> GatheringState:
        """How far the search for local candidates is."""
        return self._gathering_state

    @property
    def signaling_state(self) -> SignalingState:
        """Where the offer/answer exchange stands."""
        return self._negotiator.state

    @property
    def local_description(self) -> SessionDescription | None:
        """Our description, with the candidates that were found since."""
        return self._negotiator.local_description

    @property
    def remote_description(self) -> SessionDescription | None:
        """The peer's description."""
        return self._negotiator.remote_description

    @property
    def certificate(self) -> dtls.Certificate:
        """Our identity."""
        return self._certificate

    @property
    def agent(self) -> ice.Agent:
        """ICE, to look at."""
        return self._agent

    @property
    def dtls_connection(self) -> dtls.Connection | None:
        """DTLS, to look at; None before both descriptions are known."""
        return None if self._transport is None else self._transport.dtls

    @property
    def association(self) -> sctp.Association | None:
        """SCTP, to look at; None before both descriptions are known."""
        return None if self._transport is None else self._transport.association

    @property
    def remote_max_message_size(self) -> int | None:
        """Bytes of the largest message that the peer accepts (0: any); None before its description is known."""
        return None if self._transport is None else self._transport.remote_max_message_size

    @property
    def failure(self) -> Failure | None:
        """Why the connection failed, if it did."""
        return self._last_word.failure if isinstance(self._last_word, Failed) else None

    @property
    def is_held_back(self) -> bool:
        """Whether messages wait in SCTP because the unread ones fill `receive_buffer`."""
        return self._held_back

    @property
    def is_over(self) -> bool:
        """Whether the terminal event was given."""
        return self._phase is _Phase.OVER

    @property
    def statistics(self) -> Statistics:
        """The counters of every layer."""
        transport = self._transport
        return Statistics(
            self._agent.statistics,
            None if transport is None else transport.dtls.statistics,
            None if transport is None else transport.association.statistics,
            self._channels.statistics,
        )

    # --- negotiation

    def create_offer(self) -> SessionDescription:
        """Write an offer. It takes effect when it is set.

        Raises:
            InvalidState: the peer's offer waits for an answer, or the connection has ended.
        """
        return self._negotiator.create_offer()

    def create_answer(self) -> SessionDescription:
        """Write an answer to the peer's offer. It takes effect when it is set.

        Raises:
            InvalidState: there is no offer to answer.
        """
        return self._negotiator.create_answer()

    def set_local_description(self, description: SessionDescription | None, now: float) -> SessionDescription:
        """Apply our own description; None means the offer or answer that the state calls for. Gathering begins.

        Returns:
            The description to send to the peer.

        Raises:
            InvalidState: it does not fit the signaling state.
            InvalidArgument: it is not the one that was created last.
        """
        now = self._tick(now)
        applied = self._negotiator.apply_local(description)
        self._signaling_changed()
        self.gather(now)
        self._start(now)
        self._observe(now)
        return applied

    def set_remote_description(self, description: SessionDescription, now: float) -> None:
        """Apply the peer's description.

        Raises:
            InvalidState: it does not fit the signaling state.
            SdpError: it cannot be used; the text names the line. Nothing has changed.
        """
        now = self._tick(now)
        self._negotiator.apply_remote(description)
        self._signaling_changed()
        self._start(now)
        self._observe(now)

    def add_ice_candidate(self, candidate: IceCandidate | None, now: float) -> None:
        """Take a candidate that the peer trickled (RFC 8838); None, or an empty line, is the end of its candidates.

        Candidates that come before the description wait for it. A candidate of a kind that is not usable here, such as
        an mDNS name, is counted and skipped.

        Raises:
            SdpError: the line is no candidate.
        """
        now = self._tick(now)
        candidate = candidate or IceCandidate("")
        parsed = self._negotiator.remote_candidate(candidate)
        if self._phase is not _Phase.OPEN:
            return
        if self._transport is None:
            if len(self._early_candidates) < self._configuration.ice.max_remote_candidates:
                self._early_candidates.append(candidate)
            return
        if parsed is None:
            self._agent.end_of_remote_candidates(now)
        else:
            self._agent.add_remote_candidate(parsed, now)
        self._observe(now)

    def gather(self, now: float) -> None:
        """Look for local candidates before a description asks for it. Again is harmless."""
        now = self._tick(now)
        if self._gathering_state is not GatheringState.NEW or self._phase is not _Phase.OPEN:
            return
        self._set_gathering_state(GatheringState.IN_PROGRESS)
        self._agent.gather(now)
        self._events.extend(map(peer_events.ServerAddressRequested, self._configuration.ice_servers))
        self._observe(now)

    # --- answers to what the core asks its driver for

    def add_local_address(self, address: Address, now: float) -> None:
        """A socket is bound here (answers `ice.AddressesRequested`)."""
        now = self._tick(now)
        self._agent.add_local_address(address, now)
        self._observe(now)

    def add_stun_server(self, address: Address, now: float) -> None:
        """A server has this address (answers `ServerAddressRequested`)."""
        now = self._tick(now)
        self._agent.add_stun_server(address, now)
        self._observe(now)

    def end_of_local_addresses(self, now: float) -> None:
        """Every address and every server's address is known."""
        now = self._tick(now)
        self._agent.end_of_local_addresses(now)
        self._observe(now)

    # --- channels

    def create_data_channel(self, parameters: datachannel.ChannelParameters, now: float) -> int:
        """Make a channel; it opens when the connection is up.

        Returns:
            Its channel id.

        Raises:
            InvalidState: the connection has ended.
            InvalidArgument: a parameter is out of range.
        """
        now = self._tick(now)
        self._require_open()
        channel_id = self._channels.open_channel(parameters, now)
        self._observe(now)
        return channel_id

    def accept_channel(self, channel_id: int) -> None:
        """Say that the program knows of a channel that arrived; how many it need not know is limited."""
        self._channels.accept_channel(channel_id)

    def close_channel(self, channel_id: int, now: float) -> None:
        """Close a channel after what was accepted is delivered (RFC 8831 section 6.7). Again is harmless."""
        now = self._tick(now)
        self._channels.close_channel(channel_id, now)
        self._observe(now)

    def channel(self, channel_id: int) -> datachannel.Channel:
        """What is known of a channel."""
        return self._channels.channel(channel_id)

    def buffered_amount(self, channel_id: int) -> int:
        """Bytes that were accepted for a channel and have not yet left (the browser's `bufferedAmount`)."""
        queued = self._channels.buffered_size(channel_id)
        stream_id = self._channels.channel(channel_id).stream_id
        if stream_id is None or self._transport is None:
            return queued
        return queued + self._transport.association.buffered_size(stream_id)

    def unacknowledged_amount(self, channel_id: int) -> int:
        """Bytes that were accepted for a channel and that the peer's SCTP has not yet acknowledged."""
        queued = self._channels.buffered_size(channel_id)
        stream_id = self._channels.channel(channel_id).stream_id
        if stream_id is None or self._transport is None:
            return queued
        return queued + self._transport.association.unacknowledged_size_of(stream_id)

    # --- the end

    def close(self, now: float) -> None:
        """End in an orderly way: deliver what was accepted, then say goodbye, in `close_timeout` at most."""
        now = self._tick(now)
        if self._phase is not _Phase.OPEN:
            return
        if self._state not in (ConnectionState.CONNECTED, ConnectionState.DISCONNECTED):
            self.abort(now)
            return
        self._phase = _Phase.CLOSING
        self._negotiator.close()
        self._deadline.start(now + self._configuration.close_timeout)

    def abort(self, now: float) -> None:
        """End at once: one ABORT and one alert leave, what is queued is dropped."""
        now = self._tick(now)
        if self._phase in (_Phase.OPEN, _Phase.CLOSING):
            if self._transport is not None:
                self._transport.association.abort(now)
            self._end(Closed(), now)

    def fail(self, failure: Failure, now: float) -> None:
        """End because of something outside of the stack, such as signaling that broke."""
        self._end(Failed(failure), self._tick(now))

    # --- the five words, and the two of a carrier

    def receive(self, batch: Burst, now: float) -> None:
        """Take the datagrams of one path."""
        now = self._tick(now)
        self._agent.receive(batch, now)
        self._ascend(now)

    def handle_timeout(self, now: float) -> None:
        """Act on every timer that is due."""
        now = self._tick(now)
        if self._deadline.expire(now):
            if self._phase is _Phase.CLOSING:
                self.abort(now)
            else:
                self._finish(now)
        self._agent.handle_timeout(now)
        if self._transport is not None:
            self._transport.dtls.handle_timeout(now)
            self._transport.association.handle_timeout(now)
        self._ascend(now)

    def transmit(self, now: float, limit: int) -> list[Burst]:
        """Build what is to leave now, at most `limit` datagrams."""
        now = self._tick(now)
        transport = self._transport
        if transport is not None and self._has_path:
            self._descend(transport, now, limit)
        bursts = self._agent.transmit(now, limit)
        if self._phase is _Phase.LAST_WORDS and not bursts:
            self._finish(now)
        return bursts

    def take_events(self) -> list[Event]:
        """Drain the news, oldest first."""
        events, self._events = self._events, []
        return events

    def next_timeout(self) -> float:
        """When `handle_timeout` is due; `math.inf` when idle."""
        if self._phase is _Phase.OVER:
            return math.inf
        transport = self._transport
        if transport is None:
            return min(self._deadline.deadline, self._agent.next_timeout())
        return min(
            self._deadline.deadline,
            self._agent.next_timeout(),
            transport.dtls.next_timeout(),
            transport.association.next_timeout(),
        )

    def send(self, items: Sequence[tuple[int, str | bytes]], now: float) -> None:
        """Queue messages, each for the channel of its id: all of them, or none.

        Raises:
            InvalidState: a channel is closing or closed, or the connection has ended.
            MessageTooLarge: a message is larger than the peer accepts.
        """
        now = self._tick(now)
        self._require_open()
        self._channels.send(items, now)

    def take_received(self) -> list[tuple[int, str | bytes]]:
        """Drain every unread message, by channel. Not taking them slows the peer down."""
        messages = self._channels.take_received()
        if self._held_back:
            self._ascend(self._now)
        return messages

    def take_message(self, channel_id: int) -> str | bytes | None:
        """Take the oldest unread message of one channel; None if there is none."""
        message = self._channels.take_message(channel_id)
        if self._held_back and message is not None:
            self._ascend(self._now)
        return message

    # --- inside

    def _tick(self, now: float) -> float:
        if now > self._now:
            self._now = now
        return self._now

    def _require_open(self) -> None:
        if self._phase is not _Phase.OPEN:
            raise InvalidState("the connection is closed; open a new one")

    def _describe(self) -> DataDescription:
        agent = self._agent
        fingerprint = self._certificate.fingerprint()
        return DataDescription(
            username_fragment=agent.local_username_fragment,
            password=agent.local_password,
            fingerprints=(FingerprintAttribute(fingerprint.algorithm, fingerprint.value),),
            setup=Setup.ACTPASS,
            tls_id=self._tls_id,
            sctp_port=self._configuration.sctp_port,
            max_message_size=self._configuration.max_message_size,
            candidates=tuple(
                candidate
                for candidate in agent.local_candidates
                if candidate.type is not ice.CandidateType.PEER_REFLEXIVE
            ),
            end_of_candidates=agent.is_gathering_complete,
        )

    def _start(self, now: float) -> None:
        """Make the layers above ICE once both descriptions are known, and tell ICE of the peer."""
        agreement = self._negotiator.agreement
        if agreement is None or self._transport is not None or self._phase is not _Phase.OPEN:
            return
        self._transport = self._make_transport(agreement)
        self._move(Input.STARTED)
        remote = agreement.remote
        # RFC 8445 section 6.1.1: the offerer controls, but a full agent always controls a lite one
        controls = agreement.is_offerer or remote.ice_lite
        self._agent.set_role(ice.Role.CONTROLLING if controls else ice.Role.CONTROLLED, now)
        for candidate in remote.candidates:
            self._agent.add_remote_candidate(candidate, now)
        self._agent.set_remote_credentials(remote.username_fragment, remote.password, now, lite=remote.ice_lite)
        if remote.end_of_candidates:
            self._agent.end_of_remote_candidates(now)
        early, self._early_candidates = self._early_candidates, []
        for waiting in early:
            if waiting.username_fragment in (None, remote.username_fragment):
                self.add_ice_candidate(waiting, now)

    def _make_transport(self, agreement: Agreement) -> _Transport:
        configuration, remote = self._configuration, agreement.remote
        return _Transport(
            dtls.Connection(
                configuration.dtls,
                role=dtls.Role.CLIENT if agreement.is_dtls_client else dtls.Role.SERVER,
                certificate=self._certificate,
                remote_fingerprints=[dtls.Fingerprint(a.algorithm, a.value) for a in remote.fingerprints],
                random_bytes=self._random_bytes,
            ),
            sctp.Association(
                configuration.sctp,
                local_port=configuration.sctp_port,
                remote_port=remote.sctp_port,
                max_message_size=configuration.max_message_size,
                random_bytes=self._random_bytes,
            ),
            remote.max_message_size,
            agreement.is_dtls_client,
        )

    def _ascend(self, now: float) -> None:
        """Carry what arrived up, one call a hop. The channels' unread messages are the back-pressure."""
        transport = self._transport
        if transport is not None:
            if records := self._agent.take_received():
                transport.dtls.receive(records, now)
            if packets := transport.dtls.take_received():
                transport.association.receive(packets, now)
            self._held_back = self._channels.unread_size >= self._configuration.receive_buffer
            if not self._held_back and (messages := transport.association.take_received()):
                self._channels.receive(messages, now)
        self._observe(now)

    def _descend(self, transport: _Transport, now: float, limit: int) -> None:
        """Carry what waits down, one call a hop; each layer builds as it is pulled."""
        association = transport.association
        while association.send_room > 0 and (messages := self._channels.transmit(now, MESSAGES_A_PASS)):
            association.send(messages, now)
        if self._phase is _Phase.CLOSING:
            association.shutdown(now)
            self._observe(now)
        if packets := association.transmit(now, limit):
            transport.dtls.send(packets, now)
        if records := transport.dtls.transmit(now, limit):
            self._agent.send(records, now)

    def _observe(self, now: float) -> None:
        """Let the layers learn of each other, and pass on what is news to the program."""
        for event in self._agent.take_events():
            self._observe_ice(event, now)
        if (transport := self._transport) is not None:
            for dtls_event in transport.dtls.take_events():
                self._observe_dtls(dtls_event, transport, now)
            for sctp_event in transport.association.take_events():
                self._observe_sctp(sctp_event, transport, now)
        for channel_event in self._channels.take_events():
            if not isinstance(channel_event, datachannel.ResetRequested):
                if not isinstance(channel_event, Closed | Failed):
                    self._events.append(channel_event)
            elif transport is not None:
                transport.association.reset_streams(channel_event.stream_ids, now)

    def _observe_ice(self, event: ice.Event, now: float) -> None:
        match event:
            case ice.CandidateFound(candidate):
                line = self._negotiator.local_candidate(candidate, self._agent.local_username_fragment)
                self._events.append(peer_events.LocalCandidateFound(line))
            case ice.GatheringCompleted():
                self._set_gathering_state(GatheringState.COMPLETE)
            case ice.PairSelected():
                if self._transport is not None and not self._has_path:
                    self._has_path = True
                    self._transport.dtls.connect(now)
                self._events.append(event)
            case ice.PathLost():
                self._move(Input.PATH_LOST)
            case ice.PathRecovered():
                self._move(Input.PATH_RECOVERED)
            case Failed():
                self._last_word = event
                self._finish(now)
            case Closed():
                pass
            case _:
                self._events.append(event)

    def _observe_dtls(self, event: dtls.Event, transport: _Transport, now: float) -> None:
        match event:
            case dtls.HandshakeCompleted():
                self._events.append(event)
                transport.association.connect(now)
            case Closed() | Failed():
                self._end(event, now)

    def _observe_sctp(self, event: sctp.Event, transport: _Transport, now: float) -> None:
        match event:
            case sctp.AssociationEstablished():
                self._move(Input.ESTABLISHED)
                self._events.append(event)
                self._channels.associate(
                    is_dtls_client=transport.is_dtls_client,
                    outbound_streams=event.outbound_streams,
                    remote_max_message_size=transport.remote_max_message_size,
                    now=now,
                )
            case sctp.IncomingStreamsReset(stream_ids):
                self._channels.incoming_streams_reset(stream_ids, now)
            case sctp.OutgoingStreamsReset(stream_ids):
                self._channels.outgoing_streams_reset(stream_ids, now)
            case sctp.OutgoingStreamsResetDenied(stream_ids):
                self._channels.outgoing_streams_reset(stream_ids, now)
            case Failed(Failure(reason=Reason.ABORT_RECEIVED)):
                # Peers that close in a hurry, aiortc among them, say goodbye with an ABORT
                self._end(Closed(by_peer=True), now)
            case Closed() | Failed():
                self._end(event, now)
            case _:
                self._events.append(event)

    def _end(self, last_word: Closed | Failed, now: float) -> None:
        """Let the last records leave, then give the terminal event."""
        if self._phase in (_Phase.LAST_WORDS, _Phase.OVER):
            return
        self._phase = _Phase.LAST_WORDS
        self._last_word = last_word
        self._negotiator.close()
        if self._transport is None or not self._has_path:
            self._finish(now)
            return
        if packets := self._transport.association.transmit(now, 1):
            self._transport.dtls.send(packets, now)
        self._transport.dtls.close(now)
        self._deadline.start(now + LAST_WORDS_TIME)

    def _finish(self, now: float) -> None:
        if self._phase is _Phase.OVER:
            return
        self._phase = _Phase.OVER
        self._deadline.stop()
        self._negotiator.close()
        self._agent.close(now)
        self._channels.close(now)
        self._agent.take_events()
        self._events.extend(
            event for event in self._channels.take_events() if isinstance(event, datachannel.ChannelClosed)
        )
        self._signaling_changed()
        self._move(Input.FAILED if isinstance(self._last_word, Failed) else Input.CLOSED)
        self._events.append(self._last_word)

    def _move(self, step: Input) -> None:
        state = TRANSITIONS[self._state, step]
        if state is not self._state:
            self._state = state
            self._events.append(peer_events.ConnectionStateChanged(state))

    def _set_gathering_state(self, state: GatheringState) -> None:
        self._gathering_state = state
        self._events.append(peer_events.GatheringStateChanged(state))

    def _signaling_changed(self) -> None:
        self._events.append(peer_events.SignalingStateChanged(self._negotiator.state))
