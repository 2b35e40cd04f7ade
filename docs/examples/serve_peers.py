import trio

from xp2p_trio import PeerConnection, PeerServer, open_peer_connection, serve_peers


async def echo(pc: PeerConnection) -> None:
    async for channel in pc.incoming_channels:
        async for message in channel:
            await channel.send(message)


async def call(server: PeerServer, name: str) -> None:
    async with open_peer_connection() as pc:
        offer = pc.set_local_description()
        answer = await server.answer(offer)  # in life: the body of an HTTP POST, and of its response
        pc.set_remote_description(answer)
        async with pc.create_data_channel("echo") as channel:
            await channel.send(f"hello from {name}")
            print(await channel.receive())


async def main() -> None:
    async with trio.open_nursery() as nursery:
        server: PeerServer = await nursery.start(serve_peers, echo, 0)  # 0: any port; one for all peers
        async with trio.open_nursery() as callers:
            for name in ("alice", "bob", "carol"):
                callers.start_soon(call, server, name)
        nursery.cancel_scope.cancel("done")


trio.run(main)
