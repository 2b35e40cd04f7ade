"""What an SCTP association costs per DATA packet, a side: two of them in memory, batches of 50, no checksum.

Run as `python tests/benchmarks/sctp_pair.py`. Each figure is the best of three.
"""

from __future__ import annotations

import random
import time

from xp2p_trio.sctp import Association, Configuration, OutgoingMessage

BATCH = 50
VOLUME = 32 * 1024 * 1024


def connected_pair(now: float) -> tuple[Association, Association]:
    """Two established associations."""
    configuration = Configuration()
    a = Association(configuration, random_bytes=random.Random(1).randbytes)
    b = Association(configuration, random_bytes=random.Random(2).randbytes)
    a.connect(now)
    b.connect(now)
    while True:
        out_a, out_b = a.transmit(now, BATCH), b.transmit(now, BATCH)
        if not out_a and not out_b:
            break
        b.receive(out_a, now)
        a.receive(out_b, now)
    return a, b


def bulk(message_size: int) -> tuple[float, float, float, float]:
    """Move `VOLUME` bytes one way.

    Returns:
        Microseconds per DATA packet of the sender and of the receiver, MiB/s and messages/s of one core doing both.
    """
    now = 1.0
    a, b = connected_pair(now)
    clock = time.process_time  # other work on the machine does not count
    data = bytes(message_size)
    count = max(min(VOLUME // message_size, 200_000), 1)
    sent = received = packets = 0
    sender = receiver = 0.0
    while received < count:
        now += 0.0005
        started = clock()
        room = a.send_room // message_size
        if room and sent < count:
            few = min(room, count - sent, 64 * 1024 // message_size + 1)
            a.send([OutgoingMessage(1, 53, data) for _ in range(few)], now)
            sent += few
        out = a.transmit(now, BATCH)
        between = clock()
        b.receive(out, now)
        received += len(b.take_received())
        back = b.transmit(now, BATCH)
        then = clock()
        a.receive(back, now)
        sender += clock() - then + between - started
        receiver += then - between
        packets += len(out)
        if not out:
            now = min(a.next_timeout(), b.next_timeout())
            a.handle_timeout(now)
            b.handle_timeout(now)
    whole = sender + receiver
    return sender / packets * 1e6, receiver / packets * 1e6, count * message_size / whole / 2**20, count / whole


def main() -> None:
    """Print the table."""
    print("message    sender  receiver  a side   both sides on one core")
    for size in (32, 1024, 16 * 1024, 64 * 1024, 256 * 1024):
        sender, receiver, rate, messages = max((bulk(size) for _ in range(3)), key=lambda result: result[2])
        print(
            f"{size:>7} B {sender:>6.2f} us {receiver:>6.2f} us {(sender + receiver) / 2:>6.2f} us"
            f" {rate:>8.1f} MiB/s {messages:>10.0f} messages/s"
        )


if __name__ == "__main__":
    main()
