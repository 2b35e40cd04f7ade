"""One side of the measurements with xp2p_trio."""

from __future__ import annotations

import cProfile
import sys
from typing import Any, final

import trio

import xp2p_trio
from tests.benchmarks import workload

READY = "ready"


@final
class Wire:
    """Lines to the other process, each for the connection whose number it begins with."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._buffer = bytearray()
        self._lines: list[str] = []
        self._lock = trio.Lock()

    async def send(self, line: str) -> None:
        async with self._lock:
            await self._stream.send_all(line.encode() + b"\n")

    async def receive(self, prefix: str) -> str:
        """The rest of the next line that begins so; those of other connections are kept."""
        while True:
            for index, line in enumerate(self._lines):
                if line.startswith(prefix):
                    del self._lines[index]
                    return line.removeprefix(prefix)
            data = await self._stream.receive_some()
            if not data:
                raise trio.EndOfChannel
            self._buffer += data
            *lines, rest = self._buffer.split(b"\n")
            self._lines += [line.decode() for line in lines]
            self._buffer = rest


@final
class Signaling(trio.abc.Channel[str]):
    """The signaling of one connection."""

    def __init__(self, wire: Wire, number: int) -> None:
        self._wire = wire
        self._prefix = f"{number} "

    async def send(self, value: str) -> None:
        await self._wire.send(self._prefix + value)

    async def receive(self) -> str:
        return await self._wire.receive(self._prefix)

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


async def measure_bulk(pc: xp2p_trio.PeerConnection, size: int, seconds: float) -> dict[str, float]:
    channel = pc.create_data_channel("sink")
    await channel.wait_open()
    message = bytes(size)
    sent = 0
    cpu, start = workload.cpu_seconds(), workload.now()
    deadline = start + seconds
    while workload.now() < deadline:
        await channel.send(message)
        sent += 1
    await channel.send(workload.END)
    received = workload.Received.from_text(str(await channel.receive()))
    elapsed = workload.now() - start
    return workload.bulk_figures(size, sent, elapsed, workload.cpu_seconds() - cpu, received)


async def measure_round_trips(pc: xp2p_trio.PeerConnection, count: int) -> list[float]:
    channel = pc.create_data_channel("echo")
    await channel.wait_open()
    times = []
    for _ in range(count):
        start = workload.now()
        await channel.send(workload.PING)
        await channel.receive()
        times.append(workload.now() - start)
    return times


async def run_a(wire: Wire, plan: workload.Plan) -> None:
    opens: list[float] = []
    config = xp2p_trio.Configuration(ice_servers=plan.ice_servers)
    figures: dict[str, Any] = {}
    for index in range(plan.opens):
        await wire.receive(f"{READY} {index}")
        async with xp2p_trio.connect(Signaling(wire, index), initiator=True, config=config) as pc:
            start = workload.now()
            channel = pc.create_data_channel("open")
            await channel.wait_open()
            opens.append(workload.now() - start)
            if index == plan.opens - 1:
                figures["round_trips"] = await measure_round_trips(pc, plan.pings)
                for size in plan.sizes:
                    figures[f"bulk_{size}"] = await measure_bulk(pc, size, plan.seconds)
    workload.report({"opens": opens, **figures})


async def serve_channel(channel: xp2p_trio.DataChannel) -> None:
    received = workload.Received(cpu=-workload.cpu_seconds())
    async for message in channel:
        if channel.label == "echo":
            await channel.send(message)
        elif isinstance(message, str):
            received.cpu += workload.cpu_seconds()
            await channel.send(received.to_text())
        else:
            received.size += len(message)
            received.messages += 1


async def run_b(wire: Wire, plan: workload.Plan) -> None:
    config = xp2p_trio.Configuration(ice_servers=plan.ice_servers)
    for index in range(plan.opens):
        async with (
            xp2p_trio.connect(Signaling(wire, index), initiator=False, config=config) as pc,
            trio.open_nursery() as nursery,
        ):
            await wire.send(f"{READY} {index}")
            async for channel in pc.incoming_channels:
                nursery.start_soon(serve_channel, channel)


async def main(role: str, descriptor: int, plan: workload.Plan) -> None:
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(workload.signaling_socket(descriptor)))
    async with stream:
        await (run_a if role == "a" else run_b)(Wire(stream), plan)


if __name__ == "__main__":
    _role, _descriptor, _plan, *_profile = sys.argv[1:]
    profiler = cProfile.Profile()
    if _profile:
        profiler.enable()
    trio.run(main, _role, int(_descriptor), workload.Plan.from_json(_plan))
    if _profile:
        profiler.disable()
        profiler.dump_stats(_profile[0])
