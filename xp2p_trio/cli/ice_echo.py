"""`xp2p-trio ice-echo`: two ICE agents in one process, one datagram there and back. The output is xp2p's."""

from __future__ import annotations

import argparse
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import attrs
import trio

from xp2p_trio import ice, sdp
from xp2p_trio.cli.options import configuration
from xp2p_trio.driver import IceAgent, open_ice_agent
from xp2p_trio.peer import Configuration, parse_ice_servers
from xp2p_trio.sansio import Transport
from xp2p_trio.testing import embedded_turn_server

GREETING = b"Hello P2P!"
REPEAT_INTERVAL = 0.5
"""Seconds after which the greeting is sent again: datagrams may be lost."""

_CANDIDATE_LINES = ("a=candidate:", "a=end-of-candidates")


async def ice_echo(options: argparse.Namespace) -> None:
    """Run the demo.

    Raises:
        ConnectionFailed: there is no path.
    """
    async with (
        _equipped(options) as config,
        open_ice_agent(config, role=ice.Role.CONTROLLING) as a,
        open_ice_agent(config, role=ice.Role.CONTROLLED) as b,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(_tell_states, a)
        nursery.start_soon(_tell_states, b)
        # The candidates go beside the descriptions, so that one waits for no server that does not answer.
        offer = a.create_offer()
        b.set_remote_description(_without_candidates(offer))
        a.set_remote_description(_without_candidates(b.create_answer()))
        nursery.start_soon(_trickle, a, b, options.candidate_type)
        nursery.start_soon(_trickle, b, a, options.candidate_type)
        await b.wait_connected()
        nursery.start_soon(_echo, b)
        await a.wait_connected()
        nursery.start_soon(_greet, a)
        while (answer := await a.receive()) != GREETING:
            _tell_received(answer)
        _tell_received(answer)
        nursery.cancel_scope.cancel("the echo is back")


@asynccontextmanager
async def _equipped(options: argparse.Namespace) -> AsyncGenerator[Configuration, None]:
    """Where relayed candidates are wanted and the options name no TURN server, there is one in this process."""
    config = configuration(options)
    if options.candidate_type != "relay" or any(server.scheme != "stun" for server in config.ice_servers):
        yield config
        return
    async with embedded_turn_server(transports=[Transport.UDP]) as service:
        yield attrs.evolve(config, ice_servers=(*config.ice_servers, *parse_ice_servers(service.urls)))


async def _tell_states(agent: IceAgent) -> None:
    async for event in agent.events:
        if isinstance(event, ice.StateChanged):
            print(f"ICE state: {event.state.value}", flush=True)


async def _trickle(agent: IceAgent, other: IceAgent, wanted: str | None) -> None:
    async for line in agent.local_candidates:
        if wanted in (None, sdp.decode_candidate(line).type):
            print(f"candidate: {line}", flush=True)
            other.add_remote_candidate(line)
    print("gathering complete", flush=True)
    other.add_remote_candidate(None)


def _without_candidates(description: str) -> str:
    return "".join(line for line in description.splitlines(keepends=True) if not line.startswith(_CANDIDATE_LINES))


async def _greet(agent: IceAgent) -> None:
    while True:
        await agent.send(GREETING)
        await trio.sleep(REPEAT_INTERVAL)


async def _echo(agent: IceAgent) -> None:
    while True:
        data = await agent.receive()
        _tell_received(data)
        await agent.send(data)


def _tell_received(data: bytes) -> None:
    print(f"received: {data.decode(errors='replace')}", flush=True)
