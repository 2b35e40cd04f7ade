"""The end of a connection, seen by everyone who is in the middle of something."""

import gc
import weakref

import pytest
import trio
import trio.testing

from xp2p_trio import ConnectionFailed, ConnectionState, connect, open_peer_connection, signaling_pair
from xp2p_trio.sansio import Closed
from xp2p_trio.testing import Link, Network, connected_pair

LINK = Link(delay=0.05)


async def open_channel(alice, bob):
    ours = alice.create_data_channel("c")
    theirs = await bob.incoming_channels.accept()
    await ours.wait_open()
    return ours, theirs


async def closed_resource(call, *args):
    with pytest.raises(trio.ClosedResourceError):
        await call(*args)


async def test_senders_that_wait_are_told_when_the_connection_is_being_closed(autojump_clock):
    async with connected_pair(link=LINK) as (alice, bob), trio.open_nursery() as nursery:
        ours, _theirs = await open_channel(alice, bob)

        async def send_for_ever():
            while True:
                await ours.send(bytes(60_000))

        nursery.start_soon(closed_resource, send_for_ever)
        nursery.start_soon(closed_resource, ours.send_many, [bytes(60_000)] * 100)
        await trio.sleep(1)
        await alice.aclose()


async def test_while_the_connection_is_being_closed_nothing_new_is_taken(autojump_clock):
    async with connected_pair(link=LINK) as (alice, bob), trio.open_nursery() as nursery:
        ours, theirs = await open_channel(alice, bob)
        stream = alice.open_stream("s")
        await ours.send(bytes(100_000))
        nursery.start_soon(alice.aclose)
        await trio.testing.wait_all_tasks_blocked()
        assert alice.state.value is ConnectionState.CONNECTED, "the last message is still on its way"
        for call in (ours.wait_writable, ours.wait_flushed, ours.wait_open):
            await closed_resource(call)
        await closed_resource(ours.send, "too late")
        await closed_resource(ours.send_many, ["too late"])
        with pytest.raises(trio.ClosedResourceError):
            ours.send_nowait("too late")
        with pytest.raises(trio.ClosedResourceError):
            alice.create_data_channel("too late")
        await stream.aclose()
        assert len(await theirs.receive()) == 100_000


async def test_what_arrives_while_the_connection_is_being_closed_is_received(autojump_clock):
    async with connected_pair(link=LINK) as (alice, bob), trio.open_nursery() as nursery:
        ours, theirs = await open_channel(alice, bob)
        await theirs.send("on its way")
        nursery.start_soon(alice.aclose)
        assert await ours.receive() == "on its way"


async def test_a_description_that_will_never_be_complete(autojump_clock):
    async with open_peer_connection(ice_servers=["stun:192.0.2.1"]) as alice, trio.open_nursery() as nursery:
        alice.set_local_description()
        nursery.start_soon(closed_resource, alice.complete_description)
        await trio.testing.wait_all_tasks_blocked()
        await alice.aclose()


async def test_the_events_end_with_the_last_word(autojump_clock):
    async with connected_pair(link=LINK) as (alice, bob):
        await alice.aclose()
        with trio.fail_after(10):
            assert [event async for event in alice.events][-1] == Closed()
            assert [event async for event in bob.events][-1] == Closed(by_peer=True)


async def test_channels_accepted_after_their_end_are_not_kept(autojump_clock):
    async with connected_pair(link=LINK) as (alice, bob):
        ours = alice.create_data_channel("short")
        await ours.send("hello")
        await ours.aclose()
        await trio.sleep(1)
        theirs = await bob.incoming_channels.accept()
        assert await theirs.receive() == "hello"
        with pytest.raises(trio.EndOfChannel):
            await theirs.receive()
        kept = weakref.ref(theirs)
        del theirs
        gc.collect()
        assert kept() is None


class OddSignaling(trio.abc.Channel[str]):
    """Raises what no channel of trio raises, as adapters of other libraries do."""

    def __init__(self, *, sends):
        self._sends = sends

    async def send(self, value):
        await trio.lowlevel.checkpoint()
        if not self._sends:
            raise OSError("the cable was pulled")

    async def receive(self):
        if not self._sends:
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()
        return 5

    async def aclose(self):
        await trio.lowlevel.checkpoint()


@pytest.mark.parametrize(("sends", "reason"), [(False, "the cable was pulled"), (True, "TypeError")])
async def test_whatever_signaling_raises_is_a_diagnosis(autojump_clock, sends, reason):
    async with connect(OddSignaling(sends=sends), initiator=True) as alice:
        with pytest.raises(ConnectionFailed, match=reason):
            await alice.wait_connected()


async def test_a_shielded_clean_up_in_a_cancelled_block_still_talks(autojump_clock):
    network = Network(link=LINK)
    network.host("alice", "192.0.2.1")
    network.host("bob", "192.0.2.2")
    left, right = signaling_pair()
    answers = []

    async def echo():
        async with connect(right, initiator=False, network=network.host("bob")) as bob:
            channel = await bob.incoming_channels.accept()
            async for message in channel:
                await channel.send(message)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo)
        with trio.move_on_after(5) as scope:
            async with connect(left, initiator=True, network=network.host("alice")) as alice:
                channel = alice.create_data_channel("c")
                try:
                    await trio.sleep_forever()
                finally:
                    with trio.CancelScope(shield=True), trio.fail_after(5):
                        await channel.send("goodbye")
                        answers.append(await channel.receive())
        assert scope.cancelled_caught
    assert answers == ["goodbye"]
