"""Data channels under trio: messages, back-pressure both ways, closing, errors. All on a simulated network."""

import sys

import pytest
import trio
import trio.testing

from xp2p_trio import (
    ChannelState,
    Configuration,
    ConnectionFailed,
    InvalidArgument,
    MessageTooLarge,
    RemoteClosed,
)
from xp2p_trio.testing import BLACK_HOLE, Link, connected_pair

LINK = Link(delay=0.01)


async def open_channel(alice, bob, **parameters):
    """A channel that both sides have, open."""
    ours = alice.create_data_channel("c", **parameters)
    theirs = await bob.incoming_channels.accept()
    await ours.wait_open()
    return ours, theirs


async def test_messages_keep_their_kind(autojump_clock):
    async with connected_pair(link=LINK) as (alice, bob):
        ours, theirs = await open_channel(alice, bob)
        messages = ["text", b"bytes", "", b"", "grüße 你好", bytes(range(256)) * 300, "x" * 100_000]
        for message in messages:
            await ours.send(message)
        assert [await theirs.receive() for _ in messages] == messages
        await theirs.send(bytearray(b"array"))
        await theirs.send(memoryview(b"_view_")[1:-1])
        assert [await ours.receive(), await ours.receive()] == [b"array", b"view"]


async def test_what_the_other_side_sees(autojump_clock):
    async with connected_pair(link=LINK) as (alice, bob):
        ours, theirs = await open_channel(
            alice, bob, protocol="grüß", ordered=False, max_packet_life_time=1.5, priority=512
        )
        assert (theirs.label, theirs.protocol, theirs.ordered) == ("c", "grüß", False)
        assert (theirs.max_retransmits, theirs.max_packet_life_time) == (None, 1.5)
        assert ours.id == theirs.id
        assert ours.id % 2 == 1, "the offerer is the DTLS server, whose ids are odd (RFC 8832 section 6)"
        assert "c" in repr(ours)


async def test_negotiated_channels_need_no_announcement(autojump_clock):
    async with connected_pair(link=LINK) as (alice, bob):
        ours = alice.create_data_channel("n", negotiated_id=7)
        theirs = bob.create_data_channel("n", negotiated_id=7)
        await ours.send("hi")
        assert await theirs.receive() == "hi"
        assert ours.negotiated
        with pytest.raises(InvalidArgument, match="7"):
            alice.create_data_channel("again", negotiated_id=7)


async def test_send_waits_for_the_channel_to_open(autojump_clock):
    async with connected_pair(link=LINK) as (alice, bob):
        channel = alice.create_data_channel("c")
        with pytest.raises(trio.WouldBlock):
            channel.send_nowait("too early")
        await channel.send("in time")
        assert await (await bob.incoming_channels.accept()).receive() == "in time"


async def test_messages_of_a_wrong_type_are_told(autojump_clock):
    async with connected_pair(link=LINK) as (alice, bob):
        ours, _ = await open_channel(alice, bob)
        with pytest.raises(TypeError, match="int"):
            await ours.send(5)


async def test_messages_that_the_peer_does_not_take_are_told(autojump_clock):
    async with connected_pair(link=LINK, bob=Configuration(max_message_size=1000)) as (alice, bob):
        ours, theirs = await open_channel(alice, bob)
        assert alice.remote_max_message_size == 1000
        with pytest.raises(MessageTooLarge, match=r"1001.*1000") as info:
            await ours.send(b"x" * 1001)
        assert (info.value.size, info.value.limit) == (1001, 1000)
        with pytest.raises(MessageTooLarge):
            await ours.send("ü" * 501)
        with pytest.raises(MessageTooLarge):
            await ours.send_many([b"small", b"x" * 1001])
        await ours.send(b"x" * 1000)
        assert await theirs.receive() == b"x" * 1000, "nothing was lost, and nothing of the refused came"


async def test_send_waits_while_the_reader_is_slow_and_memory_stays_bounded(autojump_clock):
    send_buffer, receive_buffer = 32 * 1024, 64 * 1024
    message, count = bytes(8 * 1024), 1000
    sender = Configuration(send_buffer=send_buffer)
    reader = Configuration(receive_buffer=receive_buffer)
    async with connected_pair(link=LINK, alice=sender, bob=reader) as (alice, bob):
        ours, theirs = await open_channel(alice, bob)
        sent = 0

        async def send_all():
            nonlocal sent
            for _ in range(count):
                await ours.send(message)
                sent += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_all)
            await trio.sleep(60)  # nobody reads
            window = bob.statistics().sctp.a_rwnd + bob.statistics().sctp.received_size
            most = send_buffer + receive_buffer + window + 4 * len(message)
            assert sent * len(message) <= most
            assert sent < count
            stalled_at = sent
            await trio.sleep(60)
            assert sent == stalled_at
            for _ in range(count):
                assert await theirs.receive() == message
        assert sent == count


async def test_waiting_senders_go_in_their_order(autojump_clock):
    async with connected_pair(link=LINK, alice=Configuration(send_buffer=1000)) as (alice, bob):
        ours, theirs = await open_channel(alice, bob)
        await ours.send(bytes(300_000 - 100_000))
        async with trio.open_nursery() as nursery:
            for index in range(5):
                nursery.start_soon(ours.send, f"{index}")
                await trio.testing.wait_all_tasks_blocked()
            assert len(await theirs.receive()) == 200_000
            assert [await theirs.receive() for _ in range(5)] == ["0", "1", "2", "3", "4"]


async def test_send_many_is_one_call(autojump_clock):
    async with connected_pair(link=LINK, alice=Configuration(send_buffer=1000)) as (alice, bob):
        ours, theirs = await open_channel(alice, bob)
        messages = [b"m%d" % index for index in range(2000)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ours.send_many, messages)
            assert [await theirs.receive() for _ in messages] == messages
        await ours.send_many([])


async def test_wait_flushed_waits_for_the_peers_acknowledgement(autojump_clock):
    async with connected_pair(link=Link(delay=0.5)) as (alice, bob):
        ours, theirs = await open_channel(alice, bob)
        start = trio.current_time()
        await ours.send(b"x" * 5000)
        await ours.wait_flushed()
        assert trio.current_time() - start >= 1.0
        assert theirs.receive_nowait() == b"x" * 5000


async def test_several_readers_share(autojump_clock):
    async with connected_pair(link=LINK) as (alice, bob):
        ours, theirs = await open_channel(alice, bob)
        received = []

        async def read():
            received.append(await theirs.receive())

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(read)
            for message in ("a", "b", "c"):
                await ours.send(message)
        assert sorted(received) == ["a", "b", "c"]


async def test_a_cancelled_receive_takes_nothing(autojump_clock):
    async with connected_pair(link=LINK) as (alice, bob):
        ours, theirs = await open_channel(alice, bob)
        with trio.move_on_after(1):
            await theirs.receive()
        await ours.send("kept")
        with trio.move_on_after(0):
            await theirs.receive()
        assert await theirs.receive() == "kept"


async def test_a_cancelled_send_queues_all_or_nothing(autojump_clock):
    async with connected_pair(link=LINK, alice=Configuration(send_buffer=1000)) as (alice, bob):
        ours, theirs = await open_channel(alice, bob)
        await ours.send(bytes(100_000))
        with trio.move_on_after(0):
            await ours.send("never")
        await theirs.receive()
        await ours.send("after")
        assert await theirs.receive() == "after"


async def test_the_peer_closes_after_its_last_message(autojump_clock):
    async with connected_pair(link=LINK) as (alice, bob):
        ours, theirs = await open_channel(alice, bob)
        for index in range(10):
            await ours.send(str(index))
        await ours.aclose()
        assert ours.state.value is ChannelState.CLOSED
        assert [message async for message in theirs] == [str(index) for index in range(10)]
        with pytest.raises(trio.EndOfChannel):
            await theirs.receive()
        with pytest.raises(trio.BrokenResourceError):
            await theirs.send("too late")
        with pytest.raises(trio.ClosedResourceError):
            await ours.send("too late")
        with pytest.raises(trio.ClosedResourceError):
            await ours.receive()
        await ours.aclose()
        other, _ = await open_channel(alice, bob)
        await other.send("the connection goes on")


async def test_closing_wakes_everyone_on_the_channel(autojump_clock):
    async with connected_pair(link=LINK) as (alice, bob):
        ours, theirs = await open_channel(alice, bob)
        outcomes = []

        async def expect(error, call):
            with pytest.raises(error):
                await call()
            outcomes.append(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(expect, trio.ClosedResourceError, ours.receive)
            nursery.start_soon(expect, trio.EndOfChannel, theirs.receive)
            await trio.testing.wait_all_tasks_blocked()
            await ours.aclose()
        assert len(outcomes) == 2


async def test_a_channel_that_was_closed_unread_does_not_hold_back_the_others(autojump_clock):
    async with connected_pair(link=LINK, bob=Configuration(receive_buffer=10_000)) as (alice, bob):
        ours, theirs = await open_channel(alice, bob)
        async with trio.open_nursery() as nursery:

            async def flood():
                with pytest.raises(trio.BrokenResourceError):
                    while True:
                        await ours.send(bytes(10_000))

            nursery.start_soon(flood)
            await trio.sleep(1)
            await theirs.aclose()
        ours, theirs = await open_channel(alice, bob)
        await ours.send("next")
        assert await theirs.receive() == "next"


async def test_partial_reliability_gives_up(autojump_clock):
    async with connected_pair(link=LINK) as (alice, bob):
        ours, theirs = await open_channel(alice, bob, ordered=False, max_retransmits=0)
        network = alice._hub.engine.network.network
        network.set_link("alice", "bob", BLACK_HOLE)
        await ours.send("lost")
        await trio.sleep(0.05)
        network.set_link("alice", "bob", LINK)
        await ours.send("arrives")
        assert await theirs.receive() == "arrives"


async def test_a_dead_connection_is_a_diagnosis_everywhere(autojump_clock):
    async with connected_pair(link=LINK) as (alice, bob):
        ours, theirs = await open_channel(alice, bob)
        network = alice._hub.engine.network.network
        network.set_links("alice", "bob", BLACK_HOLE)
        with pytest.raises(ConnectionFailed) as info:
            await ours.receive()
        assert info.value.layer in ("ice", "sctp")
        assert len(str(info.value)) > 40
        for call in (lambda: ours.send("x"), ours.receive, ours.wait_flushed, ours.wait_open, ours.wait_writable):
            with pytest.raises(ConnectionFailed):
                await call()
        with pytest.raises(ConnectionFailed):
            ours.send_nowait("x")
        with pytest.raises(ConnectionFailed):
            alice.create_data_channel("more")
        with pytest.raises(ConnectionFailed):
            await alice.incoming_channels.accept()
        assert theirs.label == "c"


async def test_the_peer_leaves(autojump_clock):
    async with connected_pair(link=LINK) as (alice, bob):
        ours, theirs = await open_channel(alice, bob)
        await ours.send("last words")
        await alice.aclose()
        assert await theirs.receive() == "last words"
        with pytest.raises(trio.EndOfChannel):
            await theirs.receive()
        with pytest.raises(RemoteClosed):
            await theirs.send("anyone?")
        with pytest.raises(trio.ClosedResourceError):
            await ours.send("myself?")
        assert [channel async for channel in bob.incoming_channels] == []


async def test_every_call_is_a_checkpoint(autojump_clock):
    async with connected_pair(link=LINK) as (alice, bob):
        ours, theirs = await open_channel(alice, bob)
        await theirs.send("one")
        await theirs.send("two")
        await trio.sleep(1)
        with trio.testing.assert_checkpoints():
            await ours.receive()
        with trio.testing.assert_checkpoints():
            await ours.send("x")
        with trio.testing.assert_checkpoints():
            await ours.send_many(["x", "y"])
        with trio.testing.assert_checkpoints():
            await ours.send_many([])
        with trio.testing.assert_checkpoints():
            await ours.wait_open()
        with trio.testing.assert_checkpoints():
            await ours.wait_writable()
        with trio.testing.assert_checkpoints():
            await ours.wait_flushed()
        with trio.testing.assert_checkpoints():
            await ours.aclose()
        with trio.testing.assert_checkpoints():
            await ours.aclose()


async def test_readers_of_quiet_channels_cost_nothing(autojump_clock):
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event == "call"

    async def work_of_an_echo(ours, theirs):
        nonlocal calls
        calls = 0
        sys.setprofile(count)
        for _ in range(20):
            await ours.send("there")
            await theirs.receive()
            await theirs.send("and back")
            await ours.receive()
        sys.setprofile(None)
        return calls

    async with connected_pair(link=LINK) as (alice, bob), trio.open_nursery() as nursery:
        ours, theirs = await open_channel(alice, bob)
        alone = await work_of_an_echo(ours, theirs)
        for _ in range(200):
            for quiet in await open_channel(alice, bob):
                nursery.start_soon(quiet.receive)
        await trio.testing.wait_all_tasks_blocked()
        assert await work_of_an_echo(ours, theirs) < 1.5 * alone
        nursery.cancel_scope.cancel("enough was seen")
