import trio

from xp2p_trio import PeerConnection, connect, signaling_pair


async def echo(pc: PeerConnection) -> None:
    async for channel in pc.incoming_channels:
        async with channel:
            async for message in channel:  # str stays str, bytes stays bytes
                await channel.send(message)


async def main() -> None:
    left, right = signaling_pair()  # any trio.abc.Channel[str] will do
    async with connect(left, initiator=True) as alice, connect(right, initiator=False) as bob:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(echo, bob)
            async with alice.create_data_channel("echo") as channel:
                await channel.send("Hello DataChannel!")  # waits until the channel is open
                print("echoed:", await channel.receive())
            nursery.cancel_scope.cancel("done")


trio.run(main)
