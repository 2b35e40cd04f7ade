"""A program's own test: two homes on a simulated network, of which only some can reach each other."""

import trio
from trio.testing import MockClock

from xp2p_trio import Configuration, ConnectionFailed, testing

STUN = Configuration(ice_servers=["stun:198.51.100.1:3478"])


async def greet(hers: testing.NatBehaviour, his: testing.NatBehaviour) -> str:
    network = testing.Network(seed=7, link=testing.Link(delay=0.03, loss=0.01))
    network.host("stun", "198.51.100.1")
    network.host("alice", "192.168.1.2")
    network.nat("hers", "203.0.113.7", behaviour=hers, inside=["alice"])
    network.host("bob", "192.168.1.3")
    network.nat("his", "203.0.113.8", behaviour=his, inside=["bob"])
    async with trio.open_nursery() as nursery:
        await nursery.start(testing.serve, network.host("stun"), 3478, testing.StunServer())
        try:
            async with testing.connected_pair(network=network, alice=STUN, bob=STUN) as (alice, bob):
                await alice.create_data_channel("greeting").send("hello")
                channel = await bob.incoming_channels.accept()
                return str(await channel.receive())
        except ConnectionFailed as failed:
            return failed.report.reason.value
        finally:
            nursery.cancel_scope.cancel()


async def main() -> None:
    print("both port-restricted:", await greet(testing.PORT_RESTRICTED_CONE, testing.PORT_RESTRICTED_CONE))
    print("both symmetric:", await greet(testing.SYMMETRIC, testing.SYMMETRIC))


if __name__ == "__main__":
    trio.run(main, clock=MockClock(autojump_threshold=0))
