"""`connect`: a peer connection that does its own signaling over any channel of texts."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from os import urandom
from typing import Final

import trio

from xp2p_trio.driver.hub import Hub
from xp2p_trio.driver.network import Network
from xp2p_trio.driver.peer_connection import PeerConnection
from xp2p_trio.driver.system_network import SystemNetwork
from xp2p_trio.errors import DecodeError, Failure, LocalError, Reason
from xp2p_trio.peer import (
    Configuration,
    Connection,
    ConnectionState,
    SessionDescription,
    Signal,
    SignalingState,
    decode_signal,
    encode_signal,
)

MAX_BAD_SIGNALS: Final = 32
"""Signals in a row that make no sense, after which the signaling channel is taken for something else."""

RESTART_DEFERENCE: Final = 2.0
"""Seconds that the side which answers leaves the restart of ICE to the one which offers."""

logger = logging.getLogger("xp2p_trio.signaling")


@asynccontextmanager
async def connect(
    signaling: trio.abc.Channel[str],
    *,
    initiator: bool,
    config: Configuration | None = None,
    network: Network | None = None,
) -> AsyncGenerator[PeerConnection, None]:
    """Open a connection to whoever is at the other end of a signaling channel. Entering does not wait for the network.

    Offer, answer and candidates go through the channel in the background, as JSON texts that browsers write and read.
    The channel stays yours: it is not closed here, and once connected it may end. While it is there, another path is
    looked for by itself when the path is lost or a network changes (an ICE restart).

    Args:
        signaling: a channel of texts to the other peer; what it carries must reach that peer unaltered.
        initiator: True at exactly one of the two ends, which makes the offer.
        config: what to change of the defaults.
        network: where sockets come from; the operating system by default.
    """
    hub = Hub(Connection(config, random_bytes=urandom), network or SystemNetwork())
    async with hub.running():
        peer = PeerConnection(hub)
        hub.start_soon(_speak, hub, peer, signaling)
        hub.start_soon(_listen, hub, peer, signaling, initiator)
        hub.start_soon(_offer_when_needed, hub, peer)
        hub.start_soon(_restart_when_lost, hub, peer, initiator)
        if initiator:
            peer.set_local_description()
        yield peer


async def _speak(hub: Hub, peer: PeerConnection, signaling: trio.abc.Channel[str]) -> None:
    try:
        async for signal in peer.outgoing_signals:
            await signaling.send(encode_signal(signal))
    except Exception as error:  # noqa: BLE001 - the program's channel may raise anything
        _signaling_ended(hub, peer, f"cannot be written to any more ({error!r})")


async def _offer_when_needed(hub: Hub, peer: PeerConnection) -> None:
    async for _ in hub.offers_wanted:
        if hub.core.is_offer_wanted:  # and no offer of the peer has done it meanwhile
            peer.set_local_description()


async def _restart_when_lost(hub: Hub, peer: PeerConnection, initiator: bool) -> None:
    """Where the peer has moved, the old path will not come back. One side is enough; the other one steps in for it."""
    while True:
        await peer.state.wait_value(ConnectionState.DISCONNECTED)
        if not initiator:
            await trio.sleep(RESTART_DEFERENCE)
        if peer.state.value is ConnectionState.DISCONNECTED:
            hub.restart_ice()
        await peer.state.wait_value(lambda state: state is not ConnectionState.DISCONNECTED)


async def _listen(hub: Hub, peer: PeerConnection, signaling: trio.abc.Channel[str], initiator: bool) -> None:
    bad_signals = 0
    try:
        async for text in signaling:
            try:
                _apply(peer, decode_signal(text), initiator)
                bad_signals = 0
            except (DecodeError, LocalError) as error:
                logger.warning("signal ignored: %s", error)
                bad_signals += 1
                if bad_signals > MAX_BAD_SIGNALS:
                    _signaling_ended(hub, peer, f"carries something else than signals; the last one: {error}")
                    return
    except Exception as error:  # noqa: BLE001
        _signaling_ended(hub, peer, f"broke ({error!r})")
    else:
        _signaling_ended(hub, peer, "ended")


def _apply(peer: PeerConnection, signal: Signal, initiator: bool) -> None:
    """Take a signal. When both sides have offered at once, the offer of the initiator is the one that counts."""
    is_offer = isinstance(signal, SessionDescription) and signal.type == "offer"
    if is_offer and peer.signaling_state.value is SignalingState.HAVE_LOCAL_OFFER:
        if initiator:
            return
        peer.set_local_description(SessionDescription("rollback"))
    peer.apply_signal(signal)


def _signaling_ended(hub: Hub, peer: PeerConnection, how: str) -> None:
    """Without signaling a connection that waits for a description will never come about."""
    logger.info("the signaling channel %s", how)
    if peer.remote_description is None and peer.state.value is ConnectionState.NEW:
        detail = f"before the other peer's description came, the signaling channel {how}; is the other peer running?"
        hub.fail(Failure("peer", Reason.SIGNALING_LOST, detail))
