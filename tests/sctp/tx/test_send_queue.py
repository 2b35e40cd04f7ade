from __future__ import annotations

import math

from xp2p_trio.sctp import OutgoingMessage
from xp2p_trio.sctp.tx import SendQueue
from xp2p_trio.sctp.tx.send_queue import MESSAGE_OVERHEAD


def drain(queue: SendQueue) -> list[tuple[int, bytes]]:
    order = []
    while (message := queue.peek()) is not None:
        order.append((message.stream.stream_id, message.data))
        message.offset = message.size
        queue.finish()
    return order


def test_streams_take_turns_and_keep_their_order() -> None:
    queue = SendQueue()
    queue.add([OutgoingMessage(stream, 53, bytes([n])) for n, stream in enumerate((1, 1, 1, 2, 3, 3))], 0.0)
    assert [stream for stream, _ in drain(queue)] == [1, 2, 3, 1, 3, 1]
    assert queue.is_empty


def test_sizes_follow_the_message() -> None:
    queue = SendQueue()
    queue.add([OutgoingMessage(1, 53, bytes(100)), OutgoingMessage(1, 53, bytes(50))], 0.0)
    stream = queue.stream(1)
    message = queue.peek()
    assert stream is not None
    assert message is not None
    assert (stream.buffered_size, stream.unacknowledged_size, queue.unacknowledged_size) == (150, 150, 150)
    assert queue.charged_size == 150 + 2 * MESSAGE_OVERHEAD
    message.offset = 60
    stream.buffered_size -= 60
    queue.acknowledged(message, 20)
    queue.abandon(message)
    assert (stream.buffered_size, stream.unacknowledged_size, queue.unacknowledged_size) == (50, 50, 50)
    assert queue.charged_size == 50 + MESSAGE_OVERHEAD
    assert queue.peek() is not message


def test_lifetimes() -> None:
    queue = SendQueue()
    queue.add([OutgoingMessage(1, 53, b"x", lifetime=life) for life in (5.0, 1.0, None)], 10.0)
    assert queue.next_expiry() == 11.0
    assert queue.take_expired(10.9) == []
    (expired,) = queue.take_expired(11.0)
    queue.give_up(expired)
    assert queue.next_expiry() == 15.0
    drain(queue)
    assert queue.next_expiry() == math.inf


def test_many_finished_lifetimes_are_not_kept() -> None:
    queue = SendQueue()
    for _ in range(10_000):
        queue.add([OutgoingMessage(1, 53, b"x", lifetime=3600.0)], 0.0)
        drain(queue)
    assert queue.next_expiry() == math.inf


def test_a_reset_holds_back_and_lets_go() -> None:
    queue = SendQueue()
    queue.add([OutgoingMessage(1, 53, b"before")], 0.0)
    assert queue.begin_reset(1)
    assert not queue.begin_reset(1)
    queue.add([OutgoingMessage(1, 53, b"after")], 0.0)
    stream = queue.stream(1)
    message = queue.peek()
    assert stream is not None
    assert message is not None
    stream.next_ssn = 7
    assert [data for _, data in drain(queue)] == [b"before"]
    assert not stream.is_drained
    queue.acknowledged(message, 6)
    assert stream.is_drained
    queue.end_reset(1, performed=True)
    assert stream.next_ssn == 0
    assert [data for _, data in drain(queue)] == [b"after"]


def test_a_reset_stream_without_data_is_forgotten() -> None:
    queue = SendQueue()
    queue.begin_reset(9)
    queue.end_reset(9, performed=True)
    assert queue.stream(9) is None


def test_streams_beyond_the_peers_are_given_up() -> None:
    queue = SendQueue()
    queue.add([OutgoingMessage(stream, 53, b"x") for stream in (1, 10, 11)], 0.0)
    assert sorted(event.stream_id for event in queue.drop_streams(10)) == [10, 11]
    assert [stream for stream, _ in drain(queue)] == [1]
