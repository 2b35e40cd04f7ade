"""Our side of the interop tests: the public API behind the face that the foreign peers have too."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import trio

from tests.interop.peer import Candidate, ChannelInfo, ChannelSpec, RefusedError, SdpType, Traits
from tests.interop.peers.pattern import Digest, make_message
from xp2p_trio import ConnectionFailed, ConnectionState, DataChannel, PeerConnection, open_peer_connection
from xp2p_trio.datachannel import ChannelState
from xp2p_trio.driver import Network
from xp2p_trio.peer import IceCandidate, SessionDescription


class OurChannel:
    """Shape: `tests.interop.peer.Channel`."""

    def __init__(self, channel: DataChannel) -> None:
        self.channel = channel
        self._wanted = 0

    @property
    def info(self) -> ChannelInfo:
        """The channel as we report it."""
        channel = self.channel
        life_time = channel.max_packet_life_time
        return ChannelInfo(
            label=channel.label,
            protocol=channel.protocol,
            channel_id=channel.id,
            reliability=(
                channel.ordered,
                channel.max_retransmits,
                None if life_time is None else round(life_time * 1000),
            ),
        )

    async def wait_open(self) -> None:
        """Until it is open."""
        try:
            await self.channel.wait_open()
        except ConnectionFailed as exc:
            raise RefusedError from exc

    async def send(self, message: str | bytes) -> None:
        """Send one message."""
        await self.channel.send(message)

    async def receive(self) -> str | bytes:
        """The next message."""
        return await self.channel.receive()

    async def send_many(self, *, seed: int, count: int, sizes: Sequence[int]) -> None:
        """Make and send `count` messages."""
        for index in range(count):
            await self.channel.send(make_message(seed, index, sizes))

    async def collect(self, count: int) -> None:
        """The next `count` messages are for `collected`."""
        self._wanted = count

    async def collected(self) -> str:
        """Read and digest the messages."""
        digest = Digest()
        while digest.count < self._wanted:
            digest.add(await self.channel.receive())
        return digest.hexdigest()

    async def close(self) -> None:
        """Close the channel."""
        await self.channel.aclose()

    async def wait_closed(self) -> None:
        """Until both sides have closed."""
        await self.channel.state.wait_value(ChannelState.CLOSED)


class OurPeer:
    """Shape: `tests.interop.peer.Peer`."""

    name = "ours"
    traits = Traits()

    def __init__(self, pc: PeerConnection) -> None:
        self.pc = pc

    async def create_channel(self, spec: ChannelSpec) -> OurChannel:
        """Open a channel."""
        life_time = spec.max_packet_life_time
        channel = self.pc.create_data_channel(
            spec.label,
            protocol=spec.protocol,
            ordered=spec.ordered,
            max_retransmits=spec.max_retransmits,
            max_packet_life_time=None if life_time is None else life_time / 1000,
            negotiated_id=spec.negotiated_id,
        )
        return OurChannel(channel)

    async def accept(self) -> OurChannel:
        """The next channel that the other side opened."""
        try:
            return OurChannel(await self.pc.incoming_channels.accept())
        except ConnectionFailed as exc:
            raise RefusedError from exc

    async def create_offer(self) -> str:
        """Make an offer and apply it."""
        return self.pc.set_local_description(self.pc.create_offer()).sdp

    async def create_answer(self) -> str:
        """Make an answer and apply it."""
        return self.pc.set_local_description(self.pc.create_answer()).sdp

    async def complete_description(self) -> str:
        """The description with all candidates."""
        return (await self.pc.complete_description()).sdp

    async def set_remote(self, kind: SdpType, sdp: str) -> None:
        """Apply the other side's description."""
        self.pc.set_remote_description(SessionDescription(kind, sdp))

    async def add_candidate(self, candidate: Candidate) -> None:
        """Apply one of the other side's candidates."""
        line = candidate.line
        self.pc.add_ice_candidate(None if line is None else IceCandidate(line.removeprefix("a="), candidate.mid))

    async def next_candidate(self) -> Candidate:
        """The next local candidate, the end of candidates last."""
        try:
            candidate = await self.pc.local_candidates.receive()
        except trio.EndOfChannel:
            return Candidate(None)
        return Candidate(candidate.candidate, candidate.sdp_mid)

    async def wait_connected(self) -> None:
        """Until data channels work."""
        await self.pc.wait_connected()

    async def wait_gone(self) -> str:
        """Until the connection has ended."""
        state = await self.pc.state.wait_value(
            lambda state: state in (ConnectionState.FAILED, ConnectionState.CLOSED, ConnectionState.DISCONNECTED)
        )
        return state.name.lower()

    async def close(self) -> None:
        """Close the connection."""
        await self.pc.aclose()


@asynccontextmanager
async def open_our_peer(network: Network | None = None, **overrides: object) -> AsyncGenerator[OurPeer, None]:
    """A connection of ours; `overrides` are fields of its configuration."""
    async with open_peer_connection(network=network, **overrides) as pc:
        yield OurPeer(pc)
