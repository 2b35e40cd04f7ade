"""Feeds: bounded, never a reason for the driver to wait."""

import pytest
import trio
import trio.testing

from xp2p_trio.driver.feed import Feed


async def test_items_come_in_order_and_then_the_end():
    feed = Feed[int](4)
    for item in range(3):
        feed.put(item)
    feed.end()
    assert [item async for item in feed] == [0, 1, 2]
    with pytest.raises(trio.EndOfChannel):
        await feed.receive()


async def test_the_oldest_is_dropped_and_counted():
    feed = Feed[int](2)
    for item in range(5):
        feed.put(item)
    feed.end()
    assert feed.dropped == 3
    assert [item async for item in feed] == [3, 4]


async def test_a_waiting_task_is_woken(autojump_clock):
    feed = Feed[str](1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_expect, feed, "news")
        await trio.testing.wait_all_tasks_blocked()
        feed.put("news")


async def test_several_waiting_tasks_share():
    feed = Feed[int](8)
    taken = []

    async def take():
        taken.append(await feed.receive())

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(take)
        await trio.testing.wait_all_tasks_blocked()
        for item in range(3):
            feed.put(item)
    assert sorted(taken) == [0, 1, 2]


async def test_closing_wakes_and_silences():
    feed = Feed[int](8)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_expect_closed, feed)
        await trio.testing.wait_all_tasks_blocked()
        await feed.aclose()
    feed.put(1)
    await _expect_closed(feed)


async def test_receiving_is_a_checkpoint_and_loses_nothing_when_cancelled():
    feed = Feed[int](8)
    feed.put(1)
    with trio.testing.assert_checkpoints():
        assert await feed.receive() == 1
    feed.put(2)
    with trio.CancelScope() as scope:
        scope.cancel()
        await feed.receive()
    assert await feed.receive() == 2


async def test_a_cancelled_reader_hands_its_turn_on():
    feed = Feed[int](8)
    taken = []

    async def take():
        taken.append(await feed.receive())

    scope = trio.CancelScope()

    async def be_cancelled():
        with scope:
            await take()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(be_cancelled)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(take)
        await trio.testing.wait_all_tasks_blocked()
        scope.cancel()
        feed.put(7)
        with trio.fail_after(5):
            while not taken:
                await trio.testing.wait_all_tasks_blocked()
    assert taken == [7]


async def _expect(feed, item):
    assert await feed.receive() == item


async def _expect_closed(feed):
    with pytest.raises(trio.ClosedResourceError):
        await feed.receive()
