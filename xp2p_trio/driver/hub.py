"""The hub of one peer connection: the core, its engine, and where the core's news goes."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, final

import trio

from xp2p_trio import datachannel, ice
from xp2p_trio.driver.channel import DataChannel
from xp2p_trio.driver.engine import Engine
from xp2p_trio.driver.errors import REMOTE_CLOSED, connection_failed
from xp2p_trio.driver.feed import Feed
from xp2p_trio.driver.gathering import Supply
from xp2p_trio.driver.network import Network, announce
from xp2p_trio.driver.nursery import Background, hidden_nursery
from xp2p_trio.driver.state import StateValue
from xp2p_trio.errors import Failure, InvalidArgument
from xp2p_trio.peer import (
    Connection,
    ConnectionState,
    ConnectionStateChanged,
    Event,
    GatheringState,
    GatheringStateChanged,
    IceCandidate,
    LocalCandidateFound,
    NegotiationNeeded,
    SessionDescription,
    Signal,
    SignalingStateChanged,
)
from xp2p_trio.sansio import Closed, Failed

EVENT_CAPACITY: Final = 1024
"""News that wait for a program which does not listen."""

logger = logging.getLogger("xp2p_trio.driver")


@final
class Hub:
    """What `PeerConnection` is the face of, and `DataChannel` belongs to."""

    def __init__(self, core: Connection, network: Network) -> None:
        self.core = core
        self.engine = Engine(core, network, self._publish, stream_core=core)
        self._supply = Supply(core, self.engine, core.configuration)
        self.state = StateValue(core.state)
        self.ice_state = StateValue(core.ice_state)
        self.gathering_state = StateValue(core.gathering_state)
        self.signaling_state = StateValue(core.signaling_state)
        self.selected_pair: StateValue[ice.CandidatePair | None] = StateValue(None)
        self.events: Feed[Event] = Feed(EVENT_CAPACITY)
        self.candidates: Feed[IceCandidate] = Feed(EVENT_CAPACITY)
        self.signals: Feed[Signal] = Feed(EVENT_CAPACITY)
        self.arrivals: Feed[int] = Feed(EVENT_CAPACITY)
        self.offers_wanted: Feed[NegotiationNeeded] = Feed(1)
        self._channels: dict[int, DataChannel] = {}
        self._watched: set[DataChannel] = set()
        self._reading: dict[int, DataChannel] = {}
        self._last_word: Closed | Failed | None = None
        self._background: Background | None = None
        self._is_describing = False
        self._is_gathering = False
        self._is_closing = False
        self.has_gathered = trio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None, None]:
        """Drive the core while the block runs; then end it, in bounded time."""
        self._supply.check()
        try:
            async with hidden_nursery(close=self.close, abort=self.abort) as background:
                self._background = background
                self.engine.start(background)
                self._supply.start(background)
                if self.core.configuration.bind_address is None:
                    background.start_soon(self._supply.watch_interfaces, self._network_changed)
                yield
        finally:
            self._supply.close()
            self.engine.stop()

    def start_soon(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        """Run a task for as long as the connection lives."""
        assert self._background is not None
        self._background.start_soon(function, *args)

    # --- what channels and the face ask for

    def wake(self, size: int = 0) -> None:
        """There is something to send, of about this many bytes."""
        self.engine.wake(size)

    def expect_answer(self) -> None:
        """A task of the program was woken with a message."""
        self.engine.expect_answer()

    def flush(self) -> None:
        """Send now, and publish the news."""
        self.engine.flush()

    def describe(self, applied: SessionDescription) -> SessionDescription:
        """Tell the peer of a description that was just applied, with the candidates that gathering gives at once."""
        announce(self.engine.network, self.core.agent.local_username_fragment)
        self._is_describing = True
        self.flush()
        self._is_describing = False
        if applied.type == "rollback":
            return applied
        description = self.core.local_description
        assert description is not None
        self.signals.put(description)
        if self.core.gathering_state is GatheringState.COMPLETE:
            self.signals.put(None)
        return description

    def watch(self, channel: DataChannel) -> None:
        """Look at this channel after each step, until nobody waits on it."""
        self._watched.add(channel)

    def watch_unread(self, channel_id: int, channel: DataChannel) -> None:
        """Wake the readers of this channel once it has an unread message; a thousand that wait cost nothing."""
        self._reading[channel_id] = channel

    def channel(self, channel_id: int) -> DataChannel:
        """The channel of this id."""
        channel = self._channels.get(channel_id)
        if channel is None:
            channel = DataChannel(self, channel_id)
            if channel.state.value is not datachannel.ChannelState.CLOSED:
                self._channels[channel_id] = channel
        return channel

    async def accept(self) -> DataChannel:
        """Wait for a channel that the peer opens.

        Raises:
            trio.EndOfChannel: the connection is over.
        """
        while True:
            channel_id = await self.arrivals.receive()
            try:
                self.core.accept_channel(channel_id)
                return self.channel(channel_id)
            except InvalidArgument:
                continue  # it came and went so long ago that nothing is left of it

    def error(self) -> Exception | None:
        """Why the connection is over; None while it lives."""
        return _explain(self._last_word)

    def sending_error(self) -> Exception | None:
        """Why nothing can be sent any more: the connection is over, or is being closed, by whomever."""
        if self._is_closing and self._last_word is None:
            return trio.ClosedResourceError("you closed this connection")
        return _explain(self.core.last_word)

    def has_failed(self) -> bool:
        """Whether the connection broke, rather than being closed by one side."""
        return isinstance(self._last_word, Failed)

    @trio.lowlevel.enable_ki_protection
    async def close(self) -> None:
        """Deliver what was accepted, say goodbye, and wait for the end of it, in bounded time."""
        self._is_closing = True
        self.core.close(trio.current_time())
        self.flush()
        await self.state.wait_value(lambda state: state in (ConnectionState.CLOSED, ConnectionState.FAILED))

    @trio.lowlevel.enable_ki_protection
    def abort(self) -> None:
        """End at once."""
        self.core.abort(trio.current_time())
        self.engine.abandon()

    def fail(self, failure: Failure) -> None:
        """End at once, for a reason outside of the core."""
        self.core.fail(failure, trio.current_time())
        self.flush()

    def restart_ice(self) -> None:
        """Look for a new path, unless that is under way."""
        if not self.core.agent.is_restarting:
            self.core.restart_ice(trio.current_time())
            self.flush()

    def _network_changed(self) -> None:
        self.core.restart_ice(trio.current_time())

    # --- news from the core

    def _publish(self) -> bool:
        while events := self.core.take_events():
            for event in events:
                self._dispatch(event)
                self.events.put(event)
        if self._reading:
            for channel_id in self._reading.keys() & self.core.unread_channels:
                self._reading.pop(channel_id).wake_readers()
        if self._watched:
            self._watched = {channel for channel in self._watched if channel.look()}
        if self._last_word is not None:
            self.events.end()
            return True
        return False

    def _dispatch(self, event: Event) -> None:
        match event:
            case ConnectionStateChanged(state):
                self.state.publish(state)
            case ice.StateChanged(state):
                self.ice_state.publish(state)
            case SignalingStateChanged(state):
                self.signaling_state.publish(state)
            case GatheringStateChanged(state):
                self.gathering_state.publish(state)
                if state is GatheringState.IN_PROGRESS:
                    self._begin_gathering()
                else:
                    self.has_gathered.set()
                    self.candidates.end()
                    if not self._is_describing:
                        self.signals.put(None)
            case LocalCandidateFound(candidate):
                self.candidates.put(candidate)
                if not self._is_describing:
                    self.signals.put(candidate)
            case ice.PairSelected(pair):
                self.selected_pair.publish(pair)
            case NegotiationNeeded():
                self.offers_wanted.put(event)
            case datachannel.ChannelArrived(channel_id):
                self.arrivals.put(channel_id)  # not touched, so that the limit of unaccepted channels holds
            case datachannel.ChannelOpened(channel_id) | datachannel.ChannelClosing(channel_id):
                self._channel_changed(channel_id)
            case datachannel.ChannelClosed(channel_id):
                self._channel_changed(channel_id)
                self._channels.pop(channel_id, None)
                self._reading.pop(channel_id, None)
            case Closed() | Failed():
                self._end(event)
            case _:
                self._supply.answer(event)

    def _begin_gathering(self) -> None:
        """A restart of ICE has candidates of its own. Who waits for all of ours waits on, unless all were there."""
        if self._is_gathering or self.has_gathered.is_set():
            self.candidates.end()
            self.candidates = Feed(EVENT_CAPACITY)
        if self.has_gathered.is_set():
            self.has_gathered = trio.Event()
        self._is_gathering = True

    def _channel_changed(self, channel_id: int) -> None:
        channel = self._channels.get(channel_id)
        if channel is not None:
            channel.publish_state()

    def _end(self, last_word: Closed | Failed) -> None:
        self._last_word = last_word
        for feed in (self.candidates, self.signals, self.arrivals, self.offers_wanted):
            feed.end()
        self.has_gathered.set()
        for channel in self._channels.values():
            channel.publish_state()
        self._channels.clear()
        self._reading.clear()


def _explain(last_word: Closed | Failed | None) -> Exception | None:
    match last_word:
        case None:
            return None
        case Failed(failure):
            return connection_failed(failure)
        case Closed(by_peer=True):
            return connection_failed(REMOTE_CLOSED)
        case Closed():
            return trio.ClosedResourceError("you closed this connection")
