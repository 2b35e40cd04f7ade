"""Signaling done by the program: a description each way, then candidates as they are found."""

import trio

from xp2p_trio import PeerConnection, open_peer_connection


async def trickle(source: PeerConnection, target: PeerConnection) -> None:
    """Carry candidates over; between two machines this is what your own protocol does."""
    async for candidate in source.local_candidates:
        target.add_ice_candidate(candidate)
    target.add_ice_candidate(None)  # there will be no more


async def main() -> None:
    async with open_peer_connection() as alice, open_peer_connection() as bob, trio.open_nursery() as nursery:
        offer = alice.set_local_description()  # none of this can block, so none of it is awaited
        bob.set_remote_description(offer)
        answer = bob.set_local_description()
        alice.set_remote_description(answer)
        nursery.start_soon(trickle, alice, bob)
        nursery.start_soon(trickle, bob, alice)

        position = alice.create_data_channel("position", ordered=False, max_retransmits=0)
        with trio.fail_after(30):  # timeouts belong to the caller
            await alice.wait_connected()
            await position.send("52.5 N 13.4 E")
            incoming = await bob.incoming_channels.accept()
            print(f"{incoming.label}, ordered={incoming.ordered}:", await incoming.receive())


trio.run(main)
