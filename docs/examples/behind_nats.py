"""A program's own test: two homes on a simulated network, of which only some can reach each other."""

import trio
from trio.testing import MockClock

from xp2p_trio import Configuration, ConnectionFailed, testing

STUN = Configuration(ice_servers=["stun:198.51.100.1:3478"])


def two_homes(hers: testing.NatBehaviour, his: testing.NatBehaviour) -> testing.Network:
    network = testing.Network(seed=7, link=testing.Link(delay=0.03, loss=0.01))
    network.host("stun", "198.51.100.1")
    network.host("alice", "192.168.1.2")
    network.nat("hers", "203.0.113.7", behaviour=hers, inside=["alice"])
    network.host("bob", "192.168.1.2")
    network.nat("his", "203.0.113.8", behaviour=his, inside=["bob"])
    return network


async def greet(network: testing.Network) -> str | bytes:
    try:
        async with testing.connected_pair(network=network, alice=STUN, bob=STUN) as (alice, bob):
            await alice.create_data_channel("greeting").send("hello")
            channel = await bob.incoming_channels.accept()
            return await channel.receive()
    except ConnectionFailed as failed:
        return failed.report.reason.value


async def main() -> None:
    for name, nat in (("port-restricted", testing.PORT_RESTRICTED_CONE), ("symmetric", testing.SYMMETRIC)):
        network = two_homes(nat, nat)
        async with trio.open_nursery() as nursery:
            await nursery.start(testing.serve, network.host("stun"), 3478, testing.StunServer())
            print(f"both {name}:", await greet(network))
            nursery.cancel_scope.cancel("done")


trio.run(main, clock=MockClock(autojump_threshold=0))
