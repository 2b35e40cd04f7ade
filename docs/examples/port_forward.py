"""`ssh -L` between peers: each TCP connection accepted here becomes a byte stream to a service over there."""

import trio

from xp2p_trio import DataChannel, PeerConnection, connect, signaling_pair


async def copy(source: trio.abc.ReceiveStream, target: trio.abc.HalfCloseableStream) -> None:
    async for chunk in source:
        await target.send_all(chunk)  # the slow side slows the fast one, end to end
    await target.send_eof()


async def splice(a: trio.abc.HalfCloseableStream, b: trio.abc.HalfCloseableStream) -> None:
    async with a, b, trio.open_nursery() as nursery:
        nursery.start_soon(copy, a, b)
        nursery.start_soon(copy, b, a)


async def expose(pc: PeerConnection, port: int) -> None:
    """Lend a port of this machine to the peer."""

    async def handle(channel: DataChannel) -> None:
        await splice(channel.as_stream(), await trio.open_tcp_stream("127.0.0.1", port))

    await trio.serve_listeners(handle, [pc.incoming_channels])


async def forward(
    pc: PeerConnection, port: int, *, task_status: trio.TaskStatus[list[trio.SocketListener]] = trio.TASK_STATUS_IGNORED
) -> None:
    """Open a port here that leads to the one the peer lends."""

    async def handle(local: trio.SocketStream) -> None:
        await splice(local, pc.open_stream("tcp"))

    listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
    task_status.started(listeners)
    await trio.serve_listeners(handle, listeners)


async def shout(stream: trio.SocketStream) -> None:
    """The service: sends back what it reads, in capitals."""
    async for data in stream:
        await stream.send_all(data.upper())


def port_of(listeners: list[trio.SocketListener]) -> int:
    port: int = listeners[0].socket.getsockname()[1]
    return port


async def main() -> None:
    left, right = signaling_pair()
    async with connect(left, initiator=True) as alice, connect(right, initiator=False) as bob:
        async with trio.open_nursery() as nursery:
            service = port_of(await nursery.start(trio.serve_tcp, shout, 0))
            nursery.start_soon(expose, bob, service)
            local = port_of(await nursery.start(forward, alice, 0))
            async with await trio.open_tcp_stream("127.0.0.1", local) as tcp:
                await tcp.send_all(b"hello through two peers")
                await tcp.send_eof()
                print(b"".join([chunk async for chunk in tcp]).decode())
            nursery.cancel_scope.cancel("done")


trio.run(main)
