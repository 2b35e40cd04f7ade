"""The layers of one connection, composed: ICE, DTLS, SCTP and data channels, with one call a batch a hop.

                       messages
                     up ^     | down
              +------------------------+
              |       ChannelMux       |
              +------------------------+
              |    sctp.Association    |
              +------------------------+
              |    dtls.Connection     |
              +------------------------+
              |       ice.Agent        |
              +------------------------+
                in ^   bursts    | out

`_observe` is the only place where the layers learn of each other.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias, final

import attrs

from xp2p_trio import datachannel, dtls, ice, sctp
from xp2p_trio.errors import Failure, InvalidState, Reason
from xp2p_trio.peer.configuration import Configuration
from xp2p_trio.peer.events import ConnectionStateChanged, LayerEvent
from xp2p_trio.peer.negotiation import Agreement
from xp2p_trio.peer.state import TRANSITIONS, ConnectionState, Input
from xp2p_trio.sansio import Burst, Closed, Failed, RandomBytes, Timer
from xp2p_trio.sdp import DataDescription

LAST_WORDS_TIME: Final = 1.0
"""Seconds that the last alert or ABORT may wait to be pulled before the stack ends without it."""

MESSAGES_A_PASS: Final = 64
"""How many messages move from the channels to SCTP before its free send buffer is looked at again."""

MAX_RESETS_HELD_BACK: Final = 8192
"""Streams whose reset waits with the messages before it: eight times the channels that may be open by default. A peer
that resets more while nobody reads is not heard."""

_ALL_STREAMS: Final = -1

StackEvent: TypeAlias = LayerEvent | ice.CandidateFound | ice.GatheringCompleted
"""What a program hears, and what the face above turns into its own words."""


class Phase(enum.Enum):
    """How far the end is."""

    OPEN = "in use"
    CLOSING = "SCTP delivers what was accepted, then says goodbye"
    LAST_WORDS = "the last records leave"
    PARTING = "allocations on TURN servers are deleted"
    OVER = "inert"


@final
@attrs.define
class Secured:
    """The layers that exist once both descriptions are known."""

    dtls: dtls.Connection
    association: sctp.Association
    agreement: Agreement


@final
class Stack:
    """A `Carrier` of bursts, and of messages by channel id.

    Attributes:
        agent: ICE, from the beginning.
        channels: the data channels, from the beginning.
        secured: DTLS and SCTP, from `start` on.
        state: of the whole connection.
        phase: how far the end is.
        last_word: the terminal event, given or to come.
        is_held_back: whether messages wait in SCTP because the unread ones fill `receive_buffer`.
    """

    def __init__(
        self, configuration: Configuration, certificate: dtls.Certificate, *, random_bytes: RandomBytes
    ) -> None:
        self._configuration = configuration
        self._certificate = certificate
        self._random_bytes = random_bytes
        self.agent = ice.Agent(
            configuration.ice,
            role=ice.Role.CONTROLLING,
            random_bytes=random_bytes,
            consent_interval=configuration.consent_interval,
            relay_only=configuration.ice_transport_policy == "relay",
            hide_hosts=configuration.mdns == "hide",
        )
        self.channels = datachannel.ChannelMux(configuration.channels)
        self.secured: Secured | None = None
        self.state = ConnectionState.NEW
        self.phase = Phase.OPEN
        self.last_word: Closed | Failed = Closed()
        self.is_held_back = False
        self._resets_held_back: dict[int, set[int]] = {}  # by how many messages of SCTP come before them
        self._has_path = False
        self._pair: ice.CandidatePair | None = None
        self._deadline = Timer()
        self._events: list[StackEvent] = []
        self._now = -math.inf

    # --- commands

    def tick(self, now: float) -> float:
        """The time that counts: the newest seen."""
        if now > self._now:
            self._now = now
        return self._now

    def follow(self, agreement: Agreement, now: float) -> bool:
        """Do what is new in an agreement: begin, or go on with a restarted ICE. Returns whether anything was."""
        if self.phase is not Phase.OPEN:
            return False
        if self.secured is None:
            self._start(agreement, now)
        elif self.secured.agreement is not agreement:
            self.secured.agreement = agreement
            self._tell_agent(agreement.remote, now)
        else:
            return False
        return True

    def _start(self, agreement: Agreement, now: float) -> None:
        configuration, remote = self._configuration, agreement.remote
        self.secured = Secured(
            dtls.Connection(
                configuration.dtls,
                role=dtls.Role.CLIENT if agreement.is_dtls_client else dtls.Role.SERVER,
                certificate=self._certificate,
                remote_fingerprints=[dtls.Fingerprint(each.algorithm, each.value) for each in remote.fingerprints],
                random_bytes=self._random_bytes,
            ),
            sctp.Association(
                configuration.sctp,
                local_port=configuration.sctp_port,
                remote_port=remote.sctp_port,
                max_message_size=configuration.max_message_size,
                random_bytes=self._random_bytes,
            ),
            agreement,
        )
        self._move(Input.STARTED)
        # RFC 8445 section 6.1.1: who offers controls, but a full agent always controls a lite one
        controls = agreement.is_offerer or remote.ice_lite
        self.agent.set_role(ice.Role.CONTROLLING if controls else ice.Role.CONTROLLED, now)
        self._tell_agent(remote, now)

    def _tell_agent(self, remote: DataDescription, now: float) -> None:
        self.agent.set_remote_credentials(
            remote.username_fragment,
            remote.password,
            now,
            lite=remote.ice_lite,
            renomination="renomination" in remote.ice_options,
        )
        self.take_candidates(remote, now)

    def take_candidates(self, remote: DataDescription, now: float) -> None:
        """Tell ICE of the candidates in a description; those that it knows already do no harm."""
        for candidate in remote.candidates:
            self.agent.add_remote_candidate(candidate, now)
        if remote.end_of_candidates:
            self.agent.end_of_remote_candidates(now)

    def close(self, now: float) -> None:
        """End in an orderly way: deliver what was accepted, then say goodbye, in `close_timeout` at most."""
        if self.phase is Phase.OPEN:
            if self.state not in (ConnectionState.CONNECTED, ConnectionState.DISCONNECTED):
                self.abort(now)
                return
            self.phase = Phase.CLOSING
            self._deadline.start(now + self._configuration.close_timeout)

    def abort(self, now: float) -> None:
        """End at once: one ABORT and one alert leave, what is queued is dropped."""
        if self.phase in (Phase.OPEN, Phase.CLOSING):
            if self.secured is not None:
                self.secured.association.abort(now)
            self.end(Closed(), now)

    def end(self, last_word: Closed | Failed, now: float) -> None:
        """Let the last records leave, then give the terminal event."""
        if self.phase not in (Phase.OPEN, Phase.CLOSING):
            return
        self.phase = Phase.LAST_WORDS
        self.last_word = last_word
        if self.secured is None or not self._has_path:
            self._part(now)
            return
        self._pack(self.secured, now, 1)  # an ABORT, if there is one
        self.secured.dtls.close(now)
        self._deadline.start(now + LAST_WORDS_TIME)

    # --- the five words, and the two of a carrier

    def receive(self, batch: Burst, now: float) -> None:
        """Take the datagrams of one path."""
        if self.phase is Phase.OVER:
            return
        self.agent.receive(batch, now)
        if self.phase is Phase.PARTING:
            self._part(now)
        else:
            self.ascend(now)

    def handle_timeout(self, now: float) -> None:
        """Act on every timer that is due."""
        if self._deadline.expire(now):
            if self.phase is Phase.CLOSING:
                self.abort(now)
            else:
                self._part(now)
        if self.phase is Phase.OVER:
            return
        self.agent.handle_timeout(now)
        if self.phase is Phase.PARTING:
            self._part(now)
            return
        if self.secured is not None:
            self.secured.dtls.handle_timeout(now)
            self.secured.association.handle_timeout(now)
        self.ascend(now)

    def transmit(self, now: float, limit: int) -> list[Burst]:
        """Build what is to leave now, at most `limit` datagrams."""
        if self.phase is Phase.OVER or limit < 1:
            return []
        if self.secured is not None and self._has_path and self.phase is not Phase.PARTING:
            self._descend(self.secured, now, limit)
        bursts = self.agent.transmit(now, limit)
        if self.phase is Phase.LAST_WORDS and not bursts:
            self._part(now)
            bursts = self.agent.transmit(now, limit)
        elif self.phase is Phase.PARTING:
            self._part(now)
        else:
            self.observe(now)
        return bursts

    def take_events(self) -> list[StackEvent]:
        """Drain the news, oldest first."""
        events, self._events = self._events, []
        return events

    def next_timeout(self) -> float:
        """When `handle_timeout` is due; `math.inf` when idle."""
        if self.phase is Phase.OVER:
            return math.inf
        soonest = min(self._deadline.deadline, self.agent.next_timeout())
        if self.secured is None or self.phase is Phase.PARTING:
            return soonest
        return min(soonest, self.secured.dtls.next_timeout(), self.secured.association.next_timeout())

    def send(self, items: Sequence[tuple[int, str | bytes]], now: float) -> None:
        """Queue messages for channels: all of them, or none."""
        if self.phase is not Phase.OPEN:
            raise InvalidState("the connection is closed; open a new one")
        self.channels.send(items, now)

    def take_received(self) -> list[tuple[int, str | bytes]]:
        """Drain every unread message."""
        messages = self.channels.take_received()
        if self.is_held_back:
            self.ascend(self._now)
        return messages

    def take_message(self, channel_id: int) -> str | bytes | None:
        """Take the oldest unread message of one channel; None if there is none."""
        message = self.channels.take_message(channel_id)
        if self.is_held_back and message is not None:
            self.ascend(self._now)
        return message

    def size_below(self, channel_id: int, measure: Callable[[sctp.Association, int], int]) -> int:
        """Bytes of a channel that the multiplexer still has, and those that SCTP has by this measure."""
        queued = self.channels.buffered_size(channel_id)
        stream_id = self.channels.stream_id(channel_id)
        if stream_id is None or self.secured is None:
            return queued
        return queued + measure(self.secured.association, stream_id)

    # --- composition

    def ascend(self, now: float) -> None:
        """Carry what arrived up, one call a hop. The channels' unread messages are the back-pressure."""
        if (secured := self.secured) is not None:
            if records := self.agent.take_received():
                secured.dtls.receive(records, now)
            if packets := secured.dtls.take_received():
                secured.association.receive(packets, now)
            self.is_held_back = self.channels.unread_size >= self._configuration.receive_buffer
            if not self.is_held_back:
                self._ascend_messages(secured, now)
        self.observe(now)

    def _ascend_messages(self, secured: Secured, now: float) -> None:
        """From SCTP to the channels, the resets that were held back each behind the messages that came before it.

        A stream may have another channel's messages behind the reset that ended the one before.
        """
        messages = secured.association.take_received()
        start = 0
        if self._resets_held_back:
            resets, self._resets_held_back = self._resets_held_back, {}
            for stop, stream_ids in resets.items():
                self.channels.receive(messages[start:stop], now)
                self.channels.incoming_streams_reset(() if _ALL_STREAMS in stream_ids else sorted(stream_ids), now)
                start = stop
        if messages:
            self.channels.receive(messages[start:] if start else messages, now)

    def _descend(self, secured: Secured, now: float, limit: int) -> None:
        """Carry what waits down, one call a hop; each layer builds as it is pulled."""
        association = secured.association
        while association.send_room > 0 and (messages := self.channels.transmit(now, MESSAGES_A_PASS)):
            association.send(messages, now)
        if self.phase is Phase.CLOSING and association.send_room > 0:  # nothing is left in the channels
            association.shutdown(now)
        self._pack(secured, now, limit)
        if records := secured.dtls.transmit(now, limit):
            self.agent.send(records, now)

    def _pack(self, secured: Secured, now: float, limit: int) -> None:
        """From SCTP to DTLS, while that is there to protect them."""
        if secured.dtls.state is dtls.State.CONNECTED and (packets := secured.association.transmit(now, limit)):
            secured.dtls.send(packets, now)

    def observe(self, now: float) -> None:
        """Let the layers learn of each other, and pass on what is news to the program."""
        if self.phase is Phase.PARTING:
            self._part(now)
            return
        for event in self.agent.take_events():
            self._observe_ice(event, now)
        if self.phase is Phase.OVER:  # what happened above while the path broke is no news any more
            return
        if (secured := self.secured) is not None:
            for dtls_event in secured.dtls.take_events():
                self._observe_dtls(dtls_event, secured, now)
            for sctp_event in secured.association.take_events():
                self._observe_sctp(sctp_event, secured, now)
        for channel_event in self.channels.take_events():
            match channel_event:
                case datachannel.ResetRequested(stream_ids):
                    # An association that shuts down resets no more streams: its end closes their channels
                    if secured is not None and secured.association.state is sctp.State.ESTABLISHED:
                        secured.association.reset_streams(stream_ids, now)
                case Closed() | Failed():
                    pass
                case _:
                    self._events.append(channel_event)

    def _observe_ice(self, event: ice.Event, now: float) -> None:
        match event:
            case ice.PairSelected(pair):
                self._take_path(pair, now)
            case ice.StateChanged(state) if state >= ice.State.FAILED:
                self._has_path = False  # `Failed` follows once its allocations are deleted
            case ice.PathLost():
                self._move(Input.PATH_LOST)
            case ice.PathRecovered():
                self._move(Input.PATH_RECOVERED)
                if self.secured is not None:
                    self.secured.association.path_recovered(now)
            case Failed():
                self._has_path = False
                self.end(event, now)
                return
            case Closed():
                return
            case _:
                pass
        self._events.append(event)

    def _take_path(self, pair: ice.CandidatePair, now: float) -> None:
        was = self._pair
        self._pair = pair
        if self.secured is None:
            return
        if not self._has_path:
            self._has_path = True
            self.secured.dtls.connect(now)
        elif was is not None and _ends(was) != _ends(pair):
            self.secured.association.path_changed(now)

    def _observe_dtls(self, event: dtls.Event, secured: Secured, now: float) -> None:
        match event:
            case dtls.HandshakeCompleted():
                secured.association.connect(now)
                self._events.append(event)
            case Closed() | Failed():
                self.end(event, now)

    def _observe_sctp(self, event: sctp.Event, secured: Secured, now: float) -> None:
        match event:
            case sctp.AssociationEstablished():
                self._events.append(event)
                self.channels.associate(
                    is_dtls_client=secured.agreement.is_dtls_client,
                    outbound_streams=event.outbound_streams,
                    remote_max_message_size=secured.agreement.remote.max_message_size,
                    now=now,
                )
                self._move(Input.ESTABLISHED)
            case sctp.IncomingStreamsReset(stream_ids):
                if self.is_held_back and (ready := secured.association.ready_count):
                    # The messages before the reset are still SCTP's
                    if sum(map(len, self._resets_held_back.values())) < MAX_RESETS_HELD_BACK:
                        self._resets_held_back.setdefault(ready, set()).update(stream_ids or (_ALL_STREAMS,))
                else:
                    self.channels.incoming_streams_reset(stream_ids, now)
            case sctp.AssociationRestarted():  # the peer knows nothing of the channels any more
                self._resets_held_back.clear()
                self.channels.incoming_streams_reset((), now)
                self._events.append(event)
            case sctp.OutgoingStreamsReset(stream_ids):
                self.channels.outgoing_streams_reset(stream_ids, now)
            case sctp.OutgoingStreamsResetDenied(stream_ids):
                self.channels.outgoing_streams_reset_denied(stream_ids, now)
            case Failed(Failure(reason=Reason.ABORT_RECEIVED)):
                # Peers that close in a hurry, aiortc among them, say goodbye with an ABORT
                self.end(Closed(by_peer=True), now)
            case Closed() | Failed():
                self.end(event, now)
            case _:
                self._events.append(event)

    def _part(self, now: float) -> None:
        """Leave the path. The program hears of the end once nothing of it is left on any server."""
        self._deadline.stop()
        self.agent.close(now)
        # What the driver is asked for still counts; the rest is no news any more.
        wanted = ice.StreamReleased | ice.StreamRequestWithdrawn
        self._events += [event for event in self.agent.take_events() if isinstance(event, wanted)]
        if self.agent.has_ended:
            self._finish(now)
        else:
            self.phase = Phase.PARTING

    def _finish(self, now: float) -> None:
        if self.phase is Phase.OVER:
            return
        self.phase = Phase.OVER
        if self.secured is not None:  # what arrived before the end can still be read
            self._ascend_messages(self.secured, now)
        self.channels.close(now)
        self._events.extend(
            event for event in self.channels.take_events() if not isinstance(event, datachannel.ResetRequested | Closed)
        )
        self._move(Input.FAILED if isinstance(self.last_word, Failed) else Input.CLOSED)
        self._events.append(self.last_word)

    def _move(self, step: Input) -> None:
        state = TRANSITIONS[self.state, step]
        if state is not self.state:
            self.state = state
            self._events.append(ConnectionStateChanged(state))


def _ends(pair: ice.CandidatePair) -> tuple[object, ...]:
    """What makes two paths the same."""
    return pair.local.transport, pair.local.address, pair.remote.address, pair.relay_transport
