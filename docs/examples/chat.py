"""A chat: both sides talk and listen at the same time; when one leaves, the other sees the end of the channel."""

from collections.abc import Iterable

import trio

from xp2p_trio import DataChannel, connect, signaling_pair


async def listen(name: str, channel: DataChannel) -> None:
    async for message in channel:
        print(f"{name} < {message!s}")
    print(f"{name} * the other side has left")


async def chat(name: str, channel: DataChannel, lines: Iterable[str]) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen, name, channel)
        for line in lines:  # in a real program: async for line in trio.wrap_file(sys.stdin)
            await channel.send(line)


async def main() -> None:
    left, right = signaling_pair()
    async with connect(left, initiator=True) as alice, connect(right, initiator=False) as bob:
        hers = alice.create_data_channel("chat")
        async with trio.open_nursery() as nursery:
            with trio.fail_after(30):
                await hers.wait_open()
                his = await bob.incoming_channels.accept()
            nursery.start_soon(chat, "bob", his, ["hi, this is bob", "how are you?"])
            async with hers:
                await hers.send("hi, this is alice")
                for _ in range(2):
                    print("alice <", await hers.receive())
                await hers.send("fine, but I have to go")


trio.run(main)
