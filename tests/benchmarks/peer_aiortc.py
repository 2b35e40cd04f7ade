"""One side of the measurements with aiortc. Runs in any interpreter that has aiortc; knows nothing of xp2p_trio."""

from __future__ import annotations

import asyncio
import cProfile
import json
import sys
from typing import Any

from aiortc import RTCConfiguration, RTCDataChannel, RTCIceServer, RTCPeerConnection, RTCSessionDescription

from tests.benchmarks import workload

HIGH_WATER = 1024 * 1024
LOW_WATER = 256 * 1024


class Signaling:
    """JSON lines to the other process."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, value: object) -> None:
        self._writer.write(json.dumps(value).encode() + b"\n")
        await self._writer.drain()

    async def receive(self) -> Any:
        line = await self._reader.readline()
        if not line:
            raise EOFError("the other process has gone")
        return json.loads(line)

    async def send_description(self, description: RTCSessionDescription) -> None:
        await self.send({"type": description.type, "sdp": description.sdp})

    async def receive_description(self) -> RTCSessionDescription:
        return RTCSessionDescription(**await self.receive())


def new_connection(plan: workload.Plan) -> RTCPeerConnection:
    return RTCPeerConnection(RTCConfiguration(iceServers=[RTCIceServer(url) for url in plan.ice_servers]))


async def wait_open(channel: RTCDataChannel) -> None:
    opened = asyncio.Event()
    channel.on("open", opened.set)
    if channel.readyState == "open":
        opened.set()
    await opened.wait()


async def measure_bulk(pc: RTCPeerConnection, size: int, seconds: float) -> dict[str, float]:
    channel = pc.createDataChannel("sink")
    await wait_open(channel)
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    channel.on("message", answer.set_result)
    room = asyncio.Event()
    channel.bufferedAmountLowThreshold = LOW_WATER
    channel.on("bufferedamountlow", room.set)
    message = bytes(size)
    sent = 0
    cpu, start = workload.cpu_seconds(), workload.now()
    deadline = start + seconds
    while workload.now() < deadline:
        channel.send(message)
        sent += 1
        if channel.bufferedAmount > HIGH_WATER:
            room.clear()
            await room.wait()
    channel.send(workload.END)
    received = workload.Received.from_text(await answer)
    elapsed = workload.now() - start
    return workload.bulk_figures(size, sent, elapsed, workload.cpu_seconds() - cpu, received)


async def measure_round_trips(pc: RTCPeerConnection, count: int) -> list[float]:
    channel = pc.createDataChannel("echo")
    await wait_open(channel)
    answers: asyncio.Queue[bytes] = asyncio.Queue()
    channel.on("message", answers.put_nowait)
    times = []
    for _ in range(count):
        start = workload.now()
        channel.send(workload.PING)
        await answers.get()
        times.append(workload.now() - start)
    return times


async def run_a(signaling: Signaling, plan: workload.Plan) -> None:
    opens: list[float] = []
    figures: dict[str, Any] = {}
    for index in range(plan.opens):
        pc = new_connection(plan)
        await signaling.receive()  # B has made its own
        start = workload.now()
        channel = pc.createDataChannel("open")
        await pc.setLocalDescription(await pc.createOffer())
        await signaling.send_description(pc.localDescription)
        await pc.setRemoteDescription(await signaling.receive_description())
        await wait_open(channel)
        opens.append(workload.now() - start)
        if index == plan.opens - 1:
            figures["round_trips"] = await measure_round_trips(pc, plan.pings)
            for size in plan.sizes:
                figures[f"bulk_{size}"] = await measure_bulk(pc, size, plan.seconds)
        await signaling.send("done")
        await signaling.receive()
        await pc.close()
    workload.report({"opens": opens, **figures})


def serve_channel(channel: RTCDataChannel) -> None:
    received = workload.Received(cpu=-workload.cpu_seconds())

    def on_message(message: str | bytes) -> None:
        if channel.label == "echo":
            channel.send(message)
        elif isinstance(message, str):
            received.cpu += workload.cpu_seconds()
            channel.send(received.to_text())
        else:
            received.size += len(message)
            received.messages += 1

    channel.on("message", on_message)


async def run_b(signaling: Signaling, plan: workload.Plan) -> None:
    for _ in range(plan.opens):
        pc = new_connection(plan)
        pc.on("datachannel", serve_channel)
        await signaling.send("ready")
        await pc.setRemoteDescription(await signaling.receive_description())
        await pc.setLocalDescription(await pc.createAnswer())
        await signaling.send_description(pc.localDescription)
        await signaling.receive()
        await signaling.send("closing")
        await pc.close()


async def main(role: str, descriptor: int, plan: workload.Plan) -> None:
    signaling = Signaling(*await asyncio.open_connection(sock=workload.signaling_socket(descriptor)))
    await (run_a if role == "a" else run_b)(signaling, plan)


if __name__ == "__main__":
    _role, _descriptor, _plan, *_profile = sys.argv[1:]
    profiler = cProfile.Profile()
    if _profile:
        profiler.enable()
    asyncio.run(main(_role, int(_descriptor), workload.Plan.from_json(_plan)))
    if _profile:
        profiler.disable()
        profiler.dump_stats(_profile[0])
