"""`PeerConnection`: the browser's RTCPeerConnection for trio."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from os import urandom
from typing import final

import attrs
import trio

from xp2p_trio import dtls, ice, sctp
from xp2p_trio.datachannel import ChannelParameters
from xp2p_trio.driver.channel import DataChannel
from xp2p_trio.driver.feed import Feed
from xp2p_trio.driver.hub import Hub
from xp2p_trio.driver.network import Network
from xp2p_trio.driver.state import StateValue
from xp2p_trio.driver.stream import STREAM_PROTOCOL, DataChannelStream
from xp2p_trio.driver.system_network import SystemNetwork
from xp2p_trio.errors import InvalidState
from xp2p_trio.peer import (
    Configuration,
    Connection,
    ConnectionState,
    Event,
    GatheringState,
    IceCandidate,
    SessionDescription,
    Signal,
    SignalingState,
    Statistics,
)


@final
class ChannelListener(trio.abc.Listener[DataChannel]):
    """The channels that the peer opens: `accept` them one by one, or iterate. Each is open already."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def accept(self) -> DataChannel:
        """Wait for the next channel.

        Raises:
            trio.ClosedResourceError: you closed the connection.
            ConnectionFailed: the connection is dead; the text is a diagnosis.
        """
        try:
            return await self._hub.accept()
        except trio.EndOfChannel:
            raise (self._hub.error() or trio.ClosedResourceError("this connection was closed")) from None

    def __aiter__(self) -> ChannelListener:
        return self

    async def __anext__(self) -> DataChannel:
        try:
            return await self._hub.accept()
        except trio.EndOfChannel:
            error = self._hub.error()
            if error is not None and self._hub.has_failed():
                raise error from None
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        """Stop listening; the connection goes on."""
        await self._hub.arrivals.aclose()


@final
class PeerConnection:
    """One connection to one peer, made by `open_peer_connection` or `connect`.

    What cannot block is no coroutine: descriptions, candidates and the making of channels.

    Attributes:
        outgoing_signals: everything that the peer must hear, in order, for the whole life of the connection.
        incoming_channels: the channels that the peer opens.
        events: everything that happens, nothing left out; who does not listen loses the oldest.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._core = hub.core
        self.outgoing_signals: trio.abc.ReceiveChannel[Signal] = hub.signals
        self.incoming_channels = ChannelListener(hub)
        self.events: Feed[Event] = hub.events

    def __repr__(self) -> str:
        return f"<PeerConnection {self.state.value.name.lower()}>"

    # --- states

    @property
    def state(self) -> StateValue[ConnectionState]:
        """The state of the whole connection; connected means that data channels work."""
        return self._hub.state

    @property
    def ice_state(self) -> StateValue[ice.State]:
        """The state of ICE."""
        return self._hub.ice_state

    @property
    def gathering_state(self) -> StateValue[GatheringState]:
        """How far the search for local candidates is."""
        return self._hub.gathering_state

    @property
    def signaling_state(self) -> StateValue[SignalingState]:
        """Where the offer/answer exchange stands."""
        return self._hub.signaling_state

    @property
    def selected_pair(self) -> StateValue[ice.CandidatePair | None]:
        """The path in use."""
        return self._hub.selected_pair

    # --- negotiation

    @property
    def local_candidates(self) -> trio.abc.ReceiveChannel[IceCandidate]:
        """Our candidates as they are found; ends when all are. After an ICE restart it is another channel."""
        return self._hub.candidates

    @trio.lowlevel.enable_ki_protection
    def restart_ice(self) -> None:
        """Look for a new path, while the old one carries data on, as when a network has changed.

        The next offer says so; `peer.NegotiationNeeded` among the `events` asks for it. With `connect` it is made and
        answered in the background. Nothing happens before there is a connection, or while a restart is under way.
        """
        self._hub.restart_ice()

    def create_offer(self) -> SessionDescription:
        """Write an offer. It takes effect when it is set.

        Raises:
            InvalidState: the peer's offer waits for an answer, or the connection has ended.
        """
        return self._core.create_offer()

    def create_answer(self) -> SessionDescription:
        """Write an answer to the peer's offer. It takes effect when it is set.

        Raises:
            InvalidState: there is no offer to answer.
        """
        return self._core.create_answer()

    @trio.lowlevel.enable_ki_protection
    def set_local_description(self, description: SessionDescription | None = None) -> SessionDescription:
        """Apply our own description; None means the offer or answer that the state calls for. Gathering begins.

        Returns:
            The description to send to the peer, with the candidates that are known by now; those and all others come
            through `local_candidates` as well.

        Raises:
            InvalidState: it does not fit the signaling state.
            InvalidArgument: it is not the one that was created last.
        """
        applied = self._core.set_local_description(description, trio.current_time())
        return self._hub.describe(applied)

    @trio.lowlevel.enable_ki_protection
    def set_remote_description(self, description: SessionDescription) -> None:
        """Apply the peer's description.

        Raises:
            InvalidState: it does not fit the signaling state.
            SdpError: it cannot be used; the text names the line. Nothing has changed.
        """
        self._core.set_remote_description(description, trio.current_time())
        self._hub.flush()

    @trio.lowlevel.enable_ki_protection
    def add_ice_candidate(self, candidate: IceCandidate | None) -> None:
        """Take a candidate of the peer; None is the end of its candidates. It may come before the description.

        Raises:
            SdpError: the line is no candidate.
        """
        self._core.add_ice_candidate(candidate, trio.current_time())
        self._hub.flush()

    def apply_signal(self, signal: Signal) -> None:
        """Take whatever came through signaling: a description, which is answered if it is an offer, or a candidate.

        Raises:
            InvalidState: a description does not fit the signaling state.
            SdpError: it cannot be used.
        """
        if not isinstance(signal, SessionDescription):
            self.add_ice_candidate(signal)
            return
        self.set_remote_description(signal)
        if signal.type == "offer":
            self.set_local_description()

    @property
    def local_description(self) -> SessionDescription | None:
        """Our description, with the candidates that were found since; None before it is set."""
        return self._core.local_description

    @property
    def remote_description(self) -> SessionDescription | None:
        """The peer's description; None before it is set."""
        return self._core.remote_description

    async def complete_description(self) -> SessionDescription:
        """Wait until every candidate was found, for signaling that cannot trickle; returns our whole description.

        Raises:
            InvalidState: no local description was set.
            ConnectionFailed: the connection died meanwhile; the text is a diagnosis.
            trio.ClosedResourceError: you closed the connection.
        """
        if self._core.local_description is None:
            raise InvalidState("there is no local description to complete; call set_local_description() first")
        await self._hub.has_gathered.wait()
        error = self._hub.error()
        if error is not None:
            raise error
        description = self._core.local_description
        assert description is not None
        return description

    async def wait_connected(self) -> None:
        """Wait until data channels work.

        Raises:
            ConnectionFailed: they never will; the text is a diagnosis.
            trio.ClosedResourceError: you closed the connection.
        """
        await self.state.wait_value(lambda state: state not in (ConnectionState.NEW, ConnectionState.CONNECTING))
        error = self._hub.error()
        if error is not None:
            raise error

    # --- channels

    @trio.lowlevel.enable_ki_protection
    def create_data_channel(
        self,
        label: str,
        *,
        protocol: str = "",
        ordered: bool = True,
        max_retransmits: int | None = None,
        max_packet_life_time: float | None = None,
        negotiated_id: int | None = None,
        priority: int = 256,
    ) -> DataChannel:
        """Make a channel. It opens when the connection is up; `send` waits for that.

        Args:
            label: any text, 65,535 bytes of UTF-8 at most.
            protocol: the name of what is spoken on it, if it has one.
            ordered: whether messages arrive in the order in which they were sent.
            max_retransmits: how often a lost message is sent again at most; 0 is never. None: until it arrives.
            max_packet_life_time: seconds during which a lost message is sent again. None: until it arrives.
            negotiated_id: the stream, when both programs make the channel by themselves.
            priority: 128 below normal, 256 normal, 512 high, 1024 extra high (RFC 8831 section 6.4).

        Raises:
            InvalidArgument: a value is out of range, both limits are set, or the id is in use.
            trio.ClosedResourceError: you closed the connection.
            ConnectionFailed: the connection is dead; the text is a diagnosis.
        """
        error = self._hub.sending_error()
        if error is not None:
            raise error
        parameters = ChannelParameters(
            label=label,
            protocol=protocol,
            ordered=ordered,
            max_retransmits=max_retransmits,
            max_packet_life_time=max_packet_life_time,
            negotiated_id=negotiated_id,
            priority=priority,
        )
        channel_id = self._core.create_data_channel(parameters, trio.current_time())
        channel = self._hub.channel(channel_id)
        self._hub.wake()
        return channel

    def open_stream(self, label: str, *, protocol: str = STREAM_PROTOCOL) -> DataChannelStream:
        """Make a channel and use it as a byte stream.

        Raises:
            As `create_data_channel`.
        """
        return self.create_data_channel(label, protocol=protocol).as_stream()

    # --- the layers, to look at

    @property
    def ice_agent(self) -> ice.Agent:
        """ICE: its state, candidates, role and counters. Looking is free; commands belong to the connection."""
        return self._core.agent

    @property
    def dtls_transport(self) -> dtls.Connection | None:
        """DTLS: version, cipher suite, group, the peer's certificate; None before both descriptions are set."""
        return self._core.dtls_connection

    @property
    def sctp_transport(self) -> sctp.Association | None:
        """SCTP: state, statistics; None before both descriptions are set."""
        return self._core.association

    @property
    def remote_max_message_size(self) -> int | None:
        """Bytes of the largest message that the peer accepts (0: any); None before its description is set."""
        return self._core.remote_max_message_size

    def statistics(self) -> Statistics:
        """The counters of every layer."""
        return self._core.statistics

    async def aclose(self) -> None:
        """Deliver what was sent and end the connection, in `close_timeout` at most. Again is harmless."""
        try:
            await self._hub.close()
        except BaseException:
            self._hub.abort()
            raise


@asynccontextmanager
async def open_peer_connection(
    configuration: Configuration | None = None, /, *, network: Network | None = None, **overrides: object
) -> AsyncGenerator[PeerConnection, None]:
    """Open a connection whose signaling is yours. Entering does not wait for anything.

    Leaving the block normally delivers what was sent and says goodbye, in `close_timeout` at most. Leaving it by an
    exception, cancellation included, ends the connection at once; the peer is told in either case.

    Args:
        configuration: what to change of the defaults.
        network: where sockets come from; the operating system by default.
        overrides: fields of the configuration, by name.

    Raises:
        TypeError: an override is no field of the configuration.
        InvalidArgument: a value is out of range.
    """
    configuration = attrs.evolve(configuration or Configuration(), **overrides)  # type: ignore[arg-type]
    hub = Hub(Connection(configuration, random_bytes=urandom), network or SystemNetwork())
    async with hub.running():
        yield PeerConnection(hub)
