"""`xp2p-trio demo`: two peers in one process over real sockets, layer by layer, then echo and bulk data."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
from collections.abc import Sequence
from typing import final

import trio

from xp2p_trio import datachannel, dtls, ice, sctp
from xp2p_trio.cli.options import configuration
from xp2p_trio.cli.outcome import DemoFailed
from xp2p_trio.cli.timeline import Timeline
from xp2p_trio.driver import DataChannel, PeerConnection, open_peer_connection
from xp2p_trio.peer import Event, GatheringState, GatheringStateChanged, LocalCandidateFound, SessionDescription
from xp2p_trio.sansio import Address

MESSAGE_SIZE = 64 * 1024
BLOCK_SIZE = 1024 * 1024


async def demo(options: argparse.Namespace) -> None:
    """Run the demo.

    Raises:
        DemoFailed: something else came back than was sent.
        ConnectionFailed: there is no connection.
    """
    config = configuration(options)
    timeline = Timeline()
    async with (
        open_peer_connection(config) as alice,
        open_peer_connection(config) as bob,
        trio.open_nursery() as nursery,
    ):
        channel = alice.create_data_channel("demo")
        narrator = Narrator(alice, channel, timeline)
        nursery.start_soon(narrator.run)
        nursery.start_soon(_serve, bob, nursery)
        _negotiate(alice, bob, timeline)
        nursery.start_soon(_trickle, alice, bob)
        nursery.start_soon(_trickle, bob, alice)
        await channel.wait_open()
        await narrator.is_done.wait()
        await _echo(channel, options.messages, timeline)
        await _bulk(channel, options.size * 2**20, timeline)
        _tell_retransmissions((alice, bob), timeline)
        nursery.cancel_scope.cancel("the demo is over")


def _negotiate(alice: PeerConnection, bob: PeerConnection, timeline: Timeline) -> None:
    offer = alice.set_local_description()
    timeline.tell("alice", "offer  -> bob", _summary(offer))
    bob.set_remote_description(offer)
    answer = bob.set_local_description()
    timeline.tell("bob", "answer -> alice", _summary(answer))
    alice.set_remote_description(answer)


def _summary(description: SessionDescription) -> str:
    fingerprint = next(line for line in description.sdp.splitlines() if line.startswith("a=fingerprint:"))
    return f"{len(description.sdp)} bytes, fingerprint {fingerprint.removeprefix('a=fingerprint:')[:16]}..."


async def _trickle(pc: PeerConnection, other: PeerConnection) -> None:
    async for candidate in pc.local_candidates:
        other.add_ice_candidate(candidate)
    other.add_ice_candidate(None)


@final
class Narrator:
    """Tells what one side goes through until its channel is open; the other goes through the same."""

    def __init__(self, pc: PeerConnection, channel: DataChannel, timeline: Timeline) -> None:
        self._pc = pc
        self._channel = channel
        self._timeline = timeline
        self._candidates: list[str] = []
        self._is_connected = False
        self.is_done = trio.Event()

    async def run(self) -> None:
        """Tell each event as soon as it is known."""
        async for event in self._pc.events:
            self._tell(event)
            with contextlib.suppress(trio.WouldBlock, trio.EndOfChannel):
                while True:
                    self._tell(self._pc.events.receive_nowait())

    def _tell(self, event: Event) -> None:
        tell = self._timeline.tell
        match event:
            case LocalCandidateFound(candidate):
                self._candidates.append(f"{candidate.address} {candidate.type}")
            case GatheringStateChanged(GatheringState.COMPLETE):
                count = len(self._candidates)
                tell("alice", f"gathered {count} candidate{'s'[: count != 1]}", ", ".join(self._candidates))
            case ice.PairSelected(pair) if not self._is_connected:
                self._is_connected = True
                tell("ICE", "connected", _path(pair, self._pc.ice_agent.round_trip_time))
            case dtls.HandshakeCompleted(version, cipher_suite):
                name = cipher_suite.name.removeprefix("TLS_").replace("_WITH_", "_").replace("_", "-")
                number = version.name.removeprefix("DTLS_").replace("_", ".")
                tell("DTLS", f"{number} established", f"{name}, fingerprints match")
            case sctp.AssociationEstablished() as up:
                checksum = "zero checksum" if up.zero_checksum_sent and up.zero_checksum_accepted else "CRC-32C"
                tell("SCTP", "established", f"{up.outbound_streams} streams, {checksum}")
            case datachannel.ChannelOpened():
                tell("DCEP", f"channel {self._channel.id} open", repr(self._channel.label))
                self.is_done.set()
            case _:
                pass


def _path(pair: ice.CandidatePair, round_trip_time: float | None) -> str:
    rtt = "" if round_trip_time is None else f", rtt {round_trip_time * 1000:.1f} ms"
    ends = f"{_address(pair.local.address)} <-> {_address(pair.remote.address)}"
    return f"{ends} {pair.local.type}/{pair.remote.type}, {pair.route}{rtt}"


def _address(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _serve(pc: PeerConnection, nursery: trio.Nursery) -> None:
    async for channel in pc.incoming_channels:
        nursery.start_soon(_send_back, channel)


async def _send_back(channel: DataChannel) -> None:
    async for message in channel:
        await channel.send(message)


async def _echo(channel: DataChannel, count: int, timeline: Timeline) -> None:
    times: list[float] = []
    for number in range(count):
        message = f"message {number}"
        start = trio.current_time()
        await channel.send(message)
        answer = await channel.receive()
        times.append(trio.current_time() - start)
        if answer != message:
            raise DemoFailed(f"{message!r} was sent, {answer!r} came back")
    times.sort()
    p50, p99 = times[count // 2] * 1000, times[count * 99 // 100] * 1000
    timeline.figure("echo", f"{count:,} messages, p50 {p50:.2f} ms, p99 {p99:.2f} ms")


async def _bulk(channel: DataChannel, size: int, timeline: Timeline) -> None:
    """Send `size` bytes and compare the SHA-256 of what comes back."""
    sent, returned = hashlib.sha256(), hashlib.sha256()
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_send_bulk, channel, size, sent)
        remaining = size
        while remaining > 0:
            message = await channel.receive()
            if not isinstance(message, bytes):
                raise DemoFailed(f"bytes were sent, {message!r} came back")
            returned.update(message)
            remaining -= len(message)
    elapsed = trio.current_time() - start
    if remaining or sent.digest() != returned.digest():
        raise DemoFailed(f"the {size} bytes that came back are not those that were sent")
    speed = size * 8 / elapsed / 1e6
    timeline.figure("bulk", f"{size / 2**20:g} MiB there and back in {elapsed:.2f} s = {speed:,.0f} Mbit/s each way")
    timeline.figure("", f"sha-256 {sent.hexdigest()[:16]}... on both ends")


async def _send_bulk(channel: DataChannel, size: int, digest: hashlib._Hash) -> None:
    block = os.urandom(BLOCK_SIZE)
    for number, start in enumerate(range(0, size, MESSAGE_SIZE)):
        # Another piece each time, so that messages which changed places would show.
        offset = number * 4099 % (BLOCK_SIZE - MESSAGE_SIZE)
        message = block[offset : offset + min(MESSAGE_SIZE, size - start)]
        digest.update(message)
        await channel.send(message)


def _tell_retransmissions(peers: Sequence[PeerConnection], timeline: Timeline) -> None:
    counts = [statistics.retransmitted_chunks for pc in peers if (statistics := pc.statistics().sctp) is not None]
    timeline.figure("", f"{sum(counts)} chunks of SCTP sent again")
