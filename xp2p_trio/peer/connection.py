"""`Connection`: the whole stack as one sans-IO object, with the browser's commands.

offer, answer, candidates        messages
|                        up ^  | down
+--------------+ Agreement  +------------------+
|  Negotiator  | ---------> |      Stack       |
+--------------+            +------------------+
in ^  bursts | out
"""

from __future__ import annotations

import contextlib
from collections.abc import KeysView, Sequence
from typing import Final, final

import attrs

from xp2p_trio import datachannel, dtls, ice, sctp, turn
from xp2p_trio.errors import Failure, InvalidState, SdpError
from xp2p_trio.peer.configuration import Configuration
from xp2p_trio.peer.descriptions import IceCandidate, SessionDescription
from xp2p_trio.peer.events import (
    Event,
    GatheringStateChanged,
    LocalCandidateFound,
    NegotiationNeeded,
    ServerAddressRequested,
    SignalingStateChanged,
)
from xp2p_trio.peer.negotiation import Negotiator
from xp2p_trio.peer.signaling import SignalingState
from xp2p_trio.peer.stack import Phase, Stack
from xp2p_trio.peer.state import ConnectionState, GatheringState
from xp2p_trio.peer.statistics import Statistics
from xp2p_trio.sansio import Address, Burst, Closed, Failed, RandomBytes, Transport
from xp2p_trio.sdp import DataDescription, FingerprintAttribute, Setup

_ICE_OPTIONS: Final = ("trickle", "ice2", "renomination")
"""RFC 8838, RFC 8445 section 10, draft-thatcher-ice-renomination."""


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
        self._certificate = configuration.certificate or dtls.Certificate.generate(random_bytes)
        self._stack = Stack(configuration, self._certificate, random_bytes=random_bytes)
        self._tls_id = random_bytes(16).hex()
        self._negotiator = Negotiator(
            int.from_bytes(random_bytes(8)) >> 2, self._describe, lambda: ice.draw_credentials(random_bytes)
        )
        self._early_candidates: list[IceCandidate] = []
        self._gathering_state = GatheringState.NEW
        self._events: list[Event] = []

    # --- what a program asks

    @property
    def configuration(self) -> Configuration:
        """What was chosen when the connection was made."""
        return self._configuration

    @property
    def state(self) -> ConnectionState:
        """The state of the whole connection."""
        return self._stack.state

    @property
    def ice_state(self) -> ice.State:
        """The state of ICE."""
        return self._stack.agent.state

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
        return self._stack.agent

    @property
    def dtls_connection(self) -> dtls.Connection | None:
        """DTLS, to look at; None before both descriptions are known."""
        return None if self._stack.secured is None else self._stack.secured.dtls

    @property
    def association(self) -> sctp.Association | None:
        """SCTP, to look at; None before both descriptions are known."""
        return None if self._stack.secured is None else self._stack.secured.association

    @property
    def remote_max_message_size(self) -> int | None:
        """Bytes of the largest message that the peer accepts (0: any); None before its description is known."""
        agreement = self._negotiator.agreement
        return None if agreement is None else agreement.remote.max_message_size

    @property
    def last_word(self) -> Closed | Failed | None:
        """The terminal event, known from when nothing is sent any more; it is given once all servers were told."""
        return None if self._stack.phase in (Phase.OPEN, Phase.CLOSING) else self._stack.last_word

    @property
    def failure(self) -> Failure | None:
        """Why the connection failed, if it did."""
        return self.last_word.failure if isinstance(self.last_word, Failed) else None

    @property
    def is_held_back(self) -> bool:
        """Whether messages wait in SCTP because the unread ones fill `receive_buffer`."""
        return self._stack.is_held_back

    @property
    def is_over(self) -> bool:
        """Whether the terminal event was given."""
        return self._stack.phase is Phase.OVER

    @property
    def statistics(self) -> Statistics:
        """The counters of every layer."""
        stack, secured = self._stack, self._stack.secured
        return Statistics(
            stack.agent.statistics,
            None if secured is None else secured.dtls.statistics,
            None if secured is None else secured.association.statistics,
            stack.channels.statistics,
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
        applied = self._negotiator.apply_local(description)
        self._signaling_changed()
        now = self._stack.tick(now)
        self._follow_local(now)
        self.gather(now)
        self._start(now)
        return applied

    def set_remote_description(self, description: SessionDescription, now: float) -> None:
        """Apply the peer's description.

        Raises:
            InvalidState: it does not fit the signaling state.
            SdpError: it cannot be used; the text names the line. Nothing has changed.
        """
        self._negotiator.apply_remote(description)
        self._signaling_changed()
        now = self._stack.tick(now)
        self._follow_local(now)
        was_started = self._stack.secured is not None
        self._start(now)
        agreed, data = self._negotiator.agreement, self._negotiator.remote_data
        # A later description may have more candidates. Those of an offer to restart ICE wait for our answer.
        if was_started and agreed and data and data.username_fragment == agreed.remote.username_fragment:
            self._stack.take_candidates(data, now)
            self._stack.observe(now)

    def add_ice_candidate(self, candidate: IceCandidate | None, now: float) -> None:
        """Take a candidate that the peer trickled (RFC 8838); None, or an empty line, is the end of its candidates.

        Candidates that come before the description wait for it; those that turn out to be of another generation are
        then forgotten. Those of a transport of other media are skipped. A candidate of a kind that is not usable here,
        such as an mDNS name, is counted and skipped.

        Raises:
            SdpError: the line is no candidate, or belongs to another generation of ICE.
        """
        now = self._stack.tick(now)
        candidate = candidate or IceCandidate("", None, None)
        parsed = candidate.parsed if candidate.candidate else None
        if not self._negotiator.is_ours(candidate) or self._stack.phase is not Phase.OPEN:
            return
        if self._stack.secured is None or self._negotiator.is_early(candidate):
            if len(self._early_candidates) < self._configuration.ice.max_remote_candidates:
                self._early_candidates.append(candidate)
            return
        agreed = self._negotiator.agreement
        generation = candidate.generation or (None if agreed is None else agreed.remote.username_fragment)
        if parsed is None:
            self._stack.agent.end_of_remote_candidates(now, generation)
        else:
            self._stack.agent.add_remote_candidate(attrs.evolve(parsed, username_fragment=generation), now)
        self._stack.observe(now)

    def restart_ice(self, now: float) -> None:
        """Look for a new path while the old one is used on; the next offer says so, which `NegotiationNeeded` asks for.

        Before the first exchange is complete there is nothing to restart.
        """
        self._stack.tick(now)
        self._negotiator.restart_ice()
        self._ask_for_offer()

    @property
    def is_offer_wanted(self) -> bool:
        """Whether what `NegotiationNeeded` asked for is still to be done, and can be now."""
        return self._negotiator.needs_offer

    def gather(self, now: float) -> None:
        """Look for local candidates before a description asks for it. Again is harmless."""
        now = self._stack.tick(now)
        if self._gathering_state is not GatheringState.NEW or self._stack.phase is not Phase.OPEN:
            return
        self._set_gathering_state(GatheringState.IN_PROGRESS)
        self._stack.agent.gather(now)
        self._stack.observe(now)

    # --- answers to what the core asks its driver for

    def add_local_address(self, address: Address, now: float, transport: Transport = Transport.UDP) -> None:
        """As `ice.Agent.add_local_address`."""
        now = self._stack.tick(now)
        self._stack.agent.add_local_address(address, now, transport)
        self._stack.observe(now)

    def remove_local_address(self, address: Address, now: float, transport: Transport = Transport.UDP) -> None:
        """As `ice.Agent.remove_local_address`."""
        now = self._stack.tick(now)
        self._stack.agent.remove_local_address(address, now, transport)
        self._stack.observe(now)

    def add_stun_server(self, address: Address, now: float, name: str = "") -> None:
        """As `ice.Agent.add_stun_server`; answers `ServerAddressRequested`."""
        now = self._stack.tick(now)
        self._stack.agent.add_stun_server(address, now, name)
        self._stack.observe(now)

    def add_turn_server(self, server: ice.TurnServer, now: float) -> None:
        """As `ice.Agent.add_turn_server`; answers `ServerAddressRequested`."""
        now = self._stack.tick(now)
        self._stack.agent.add_turn_server(server, now)
        self._stack.observe(now)

    def refresh_turn_credentials(self, name: str, credentials: turn.Credentials, now: float) -> None:
        """As `ice.Agent.refresh_turn_credentials`; answers `ice.TurnCredentialsRequested`."""
        now = self._stack.tick(now)
        self._stack.agent.refresh_turn_credentials(name, credentials, now)
        self._stack.observe(now)

    def server_failed(self, name: str, detail: str, now: float) -> None:
        """As `ice.Agent.server_failed`; answers `ServerAddressRequested`."""
        now = self._stack.tick(now)
        self._stack.agent.server_failed(name, detail, now)
        self._stack.observe(now)

    def stream_opened(self, number: int, local: Address, now: float) -> None:
        """As `ice.Agent.stream_opened`; answers `ice.StreamRequested`."""
        now = self._stack.tick(now)
        self._stack.agent.stream_opened(number, local, now)
        self._stack.observe(now)

    def stream_failed(self, number: int, detail: str, now: float) -> None:
        """As `ice.Agent.stream_failed`; answers `ice.StreamRequested`."""
        now = self._stack.tick(now)
        self._stack.agent.stream_failed(number, detail, now)
        self._stack.observe(now)

    def stream_accepted(
        self, local: Address, remote: Address, now: float, transport: Transport = Transport.TCP
    ) -> None:
        """As `ice.Agent.stream_accepted`."""
        now = self._stack.tick(now)
        self._stack.agent.stream_accepted(local, remote, now, transport)
        self._stack.observe(now)

    def stream_closed(self, local: Address, remote: Address, now: float, transport: Transport = Transport.TCP) -> None:
        """As `ice.Agent.stream_closed`."""
        now = self._stack.tick(now)
        self._stack.agent.stream_closed(local, remote, now, transport)
        self._stack.observe(now)

    def name_resolved(self, name: str, hosts: Sequence[str], now: float) -> None:
        """As `ice.Agent.name_resolved`; answers `ice.NameRequested`."""
        now = self._stack.tick(now)
        self._stack.agent.name_resolved(name, hosts, now)
        self._stack.observe(now)

    def end_of_local_addresses(self, now: float) -> None:
        """Every address and every server's address is known."""
        now = self._stack.tick(now)
        self._stack.agent.end_of_local_addresses(now)
        self._stack.observe(now)

    # --- channels

    def create_data_channel(self, parameters: datachannel.ChannelParameters, now: float) -> int:
        """Make a channel; it opens when the connection is up.

        Returns:
            Its channel id.

        Raises:
            InvalidState: the connection has ended, or has too many channels.
            InvalidArgument: a parameter is out of range.
        """
        now = self._stack.tick(now)
        if self._stack.phase is not Phase.OPEN:
            raise InvalidState("the connection is closed; open a new one")
        channel_id = self._stack.channels.open_channel(parameters, now)
        self._stack.observe(now)
        return channel_id

    def accept_channel(self, channel_id: int) -> None:
        """Say that the program knows of a channel that arrived; how many it need not know is limited."""
        self._stack.channels.accept_channel(channel_id)

    def close_channel(self, channel_id: int, now: float) -> None:
        """Close a channel after what was accepted is delivered (RFC 8831 section 6.7). Again is harmless."""
        now = self._stack.tick(now)
        self._stack.channels.close_channel(channel_id, now)
        self._stack.ascend(now)  # the messages that nobody will read any more may have held back those of others

    def channel(self, channel_id: int) -> datachannel.Channel:
        """What is known of a channel.

        Raises:
            InvalidArgument: there was never such a channel, or it was closed long ago.
        """
        return self._stack.channels.channel(channel_id)

    @property
    def unread_channels(self) -> KeysView[int]:
        """The ids of the channels that have unread messages, as a view that stays current."""
        return self._stack.channels.unread_channels

    def buffered_amount(self, channel_id: int) -> int:
        """Bytes that were accepted for a channel and have not yet left (the browser's `bufferedAmount`)."""
        return self._stack.size_below(channel_id, sctp.Association.buffered_size)

    def unacknowledged_amount(self, channel_id: int) -> int:
        """Bytes that were accepted for a channel and that the peer's SCTP has not yet acknowledged."""
        return self._stack.size_below(channel_id, sctp.Association.unacknowledged_size_of)

    # --- the end

    def close(self, now: float) -> None:
        """End in an orderly way: deliver what was accepted, then say goodbye, in `close_timeout` at most."""
        self._negotiator.close()
        self._stack.close(self._stack.tick(now))

    def abort(self, now: float) -> None:
        """End at once: one ABORT and one alert leave, what is queued is dropped."""
        self._negotiator.close()
        self._stack.abort(self._stack.tick(now))

    def fail(self, failure: Failure, now: float) -> None:
        """End because of something outside of the stack, such as signaling that broke."""
        self._stack.end(Failed(failure), self._stack.tick(now))

    # --- the five words, and the two of a carrier

    def receive(self, batch: Burst, now: float) -> None:
        """Take the datagrams of one path."""
        self._stack.receive(batch, self._stack.tick(now))

    def handle_timeout(self, now: float) -> None:
        """Act on every timer that is due."""
        self._stack.handle_timeout(self._stack.tick(now))

    def transmit(self, now: float, limit: int) -> list[Burst]:
        """Build what is to leave now, at most `limit` datagrams."""
        return self._stack.transmit(self._stack.tick(now), limit)

    def take_events(self) -> list[Event]:
        """Drain the news, oldest first."""
        self._collect()
        events, self._events = self._events, []
        return events

    def _collect(self) -> None:
        for event in self._stack.take_events():
            match event:
                case ice.CandidateFound(candidate):
                    self._events.append(LocalCandidateFound(self._negotiator.local_candidate(candidate)))
                case ice.AddressesRequested():
                    self._events.append(event)
                    self._events.extend(map(ServerAddressRequested, self._configuration.ice_servers))
                case ice.GatheringCompleted():
                    self._set_gathering_state(GatheringState.COMPLETE)
                case Closed() | Failed():
                    self._negotiator.close()
                    self._signaling_changed()
                    self._events.append(event)
                case _:
                    self._events.append(event)

    def next_timeout(self) -> float:
        """When `handle_timeout` is due; `math.inf` when idle."""
        return self._stack.next_timeout()

    def send(self, items: Sequence[tuple[int, str | bytes]], now: float) -> None:
        """Queue messages, each for the channel of its id: all of them, or none.

        Raises:
            InvalidState: a channel is closing or closed, or the connection has ended.
            MessageTooLarge: a message is larger than the peer accepts.
        """
        self._stack.send(items, self._stack.tick(now))

    def take_received(self) -> list[tuple[int, str | bytes]]:
        """Drain every unread message, in the order of arrival. Not taking them slows the peer down."""
        return self._stack.take_received()

    def take_message(self, channel_id: int) -> str | bytes | None:
        """Take the oldest unread message of one channel; None if there is none."""
        return self._stack.take_message(channel_id)

    # --- inside

    def _describe(self) -> DataDescription:
        agent = self._stack.agent
        fingerprint = self._certificate.fingerprint()
        return DataDescription(
            username_fragment=agent.local_username_fragment,
            password=agent.local_password,
            fingerprints=(FingerprintAttribute(fingerprint.algorithm, fingerprint.value),),
            setup=Setup.ACTPASS,
            tls_id=self._tls_id,
            sctp_port=self._configuration.sctp_port,
            max_message_size=self._configuration.max_message_size,
            ice_options=_ICE_OPTIONS,
            ice_lite=self._configuration.ice.lite,
            candidates=tuple(c for c in agent.local_candidates if c.type is not ice.CandidateType.PEER_REFLEXIVE),
            end_of_candidates=agent.is_gathering_complete,
        )

    def _follow_local(self, now: float) -> None:
        """Restart ICE when our description has other credentials than our agent, or take that back after a rollback."""
        local, agent = self._negotiator.local_data, self._stack.agent
        if local is None or self._stack.secured is None or self._stack.phase is not Phase.OPEN:
            return
        if local.username_fragment == agent.local_username_fragment:
            return
        self._collect()  # of the generation before
        # What was begun last is not described any more. If the peer has agreed to it, it goes on beside the next one.
        if agent.is_restarting and agent.state is ice.State.GATHERING:
            agent.cancel_restart(now)
            self._early_candidates.clear()
        if local.username_fragment != agent.local_username_fragment:
            self._set_gathering_state(GatheringState.IN_PROGRESS)
            agent.restart(now, (local.username_fragment, local.password))
        elif agent.is_gathering_complete:
            self._set_gathering_state(GatheringState.COMPLETE)
        self._stack.observe(now)

    def _ask_for_offer(self) -> None:
        if self._negotiator.needs_offer and self._stack.phase is Phase.OPEN:
            self._events.append(NegotiationNeeded())

    def _start(self, now: float) -> None:
        """Start the stack once both descriptions are known, and tell ICE of the peer's once it has restarted."""
        agreement = self._negotiator.agreement
        if agreement is not None and self._stack.follow(agreement, now):
            early, self._early_candidates = self._early_candidates, []
            for candidate in early:
                with contextlib.suppress(SdpError):  # of another generation; who told it was not told of this one
                    self.add_ice_candidate(candidate, now)
        self._stack.observe(now)

    def _set_gathering_state(self, state: GatheringState) -> None:
        self._gathering_state = state
        self._events.append(GatheringStateChanged(state))

    def _signaling_changed(self) -> None:
        self._events.append(SignalingStateChanged(self._negotiator.state))
        self._ask_for_offer()
