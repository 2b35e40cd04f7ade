"""ice_socket_errors: an error is a lost packet, only closing ends a socket. Each errno at each call."""

from __future__ import annotations

import errno
import os
import socket
from collections import deque
from collections.abc import Iterator, Sequence

import pytest
import trio

from xp2p_trio.driver.system_network import SystemNetwork
from xp2p_trio.driver.udp import UdpSocket
from xp2p_trio.sansio import Address, Burst

BLOCKED = (errno.EAGAIN, errno.EWOULDBLOCK)
ERRNOS = sorted(set(errno.errorcode) - {*BLOCKED, errno.EINPROGRESS, errno.EALREADY})


class FaultySocket(socket.socket):
    """A socket whose next calls fail with the errnos in `faults`, whichever calls they are."""

    def __init__(self) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_DGRAM)
        self.faults: deque[int] = deque()
        self.calls: list[str] = []
        self.setblocking(False)
        self.bind(("127.0.0.1", 0))

    def _meet_fault(self, call: str) -> None:
        self.calls.append(call)
        if self.faults and (number := self.faults.popleft()):
            raise OSError(number, os.strerror(number))

    def sendto(self, data: bytes, address: Address) -> int:  # type: ignore[override]
        self._meet_fault("sendto")
        return super().sendto(data, address)

    def sendmsg(self, buffers: Sequence[bytes], control: object, flags: int, address: Address) -> int:  # type: ignore[override]
        self._meet_fault("sendmsg")
        return super().sendmsg(buffers, control, flags, address)  # type: ignore[arg-type]

    def recvmsg_into(self, *arguments: object) -> object:  # type: ignore[override]
        self._meet_fault("recvmsg_into")
        return super().recvmsg_into(*arguments)  # type: ignore[arg-type]

    def recvfrom_into(self, buffer: bytearray) -> object:  # type: ignore[override]
        self._meet_fault("recvfrom_into")
        return super().recvfrom_into(buffer)


@pytest.fixture
def faulty() -> Iterator[FaultySocket]:
    with FaultySocket() as sock:
        yield sock


async def read(receiver: UdpSocket, count: int) -> list[bytes]:
    datagrams: list[bytes] = []
    with trio.fail_after(5):
        while len(datagrams) < count:
            for burst in await receiver.receive():
                datagrams += burst.datagrams
    return datagrams


@pytest.mark.parametrize("offload", [True, False])
async def test_sending_survives_every_errno(faulty: FaultySocket, offload: bool) -> None:
    receiver = SystemNetwork().bind(("127.0.0.1", 0))
    sender = UdpSocket(faulty, offload=offload)
    for number in ERRNOS:
        faulty.faults.extend([number])
        assert sender.transmit(Burst(sender.address, receiver.address, [b"lost"])) == 1
        assert sender.transmit(Burst(sender.address, receiver.address, [b"sent"])) == 1
        assert await read(receiver, 1) == [b"sent"]
    assert sender.statistics.datagrams_lost == len(ERRNOS)
    assert sender.statistics.datagrams_sent == len(ERRNOS)
    receiver.close()


@pytest.mark.parametrize("number", ERRNOS)
async def test_a_refused_run_is_sent_one_by_one(faulty: FaultySocket, number: int) -> None:
    receiver = SystemNetwork().bind(("127.0.0.1", 0))
    sender = UdpSocket(faulty)
    had_offload = sender.statistics.is_offloading
    faulty.faults.append(number)
    datagrams = [b"a" * 100, b"b" * 100, b"c"]
    assert sender.transmit(Burst(sender.address, receiver.address, datagrams)) == 3
    if had_offload:
        assert await read(receiver, 3) == datagrams
        assert faulty.calls == ["sendmsg", "sendto", "sendto", "sendto"]
        refusals = (errno.EINVAL, errno.EIO, errno.ENOPROTOOPT, errno.EOPNOTSUPP)
        assert sender.statistics.is_offloading == (number not in refusals)
    receiver.close()


async def test_a_bad_destination_does_not_cost_the_offload(faulty: FaultySocket) -> None:
    sender = UdpSocket(faulty)
    had_offload = sender.statistics.is_offloading
    faulty.faults.extend([errno.EINVAL] * 3)
    assert sender.transmit(Burst(sender.address, ("127.0.0.1", 9), [b"a", b"b"])) == 2
    assert sender.statistics.is_offloading == had_offload


@pytest.mark.parametrize("offload", [True, False])
async def test_a_full_buffer_is_not_a_loss(faulty: FaultySocket, offload: bool) -> None:
    sender = UdpSocket(faulty, offload=offload)
    burst = Burst(sender.address, ("127.0.0.1", 9), [b"1" * 10, b"2" * 10, b"3" * 20])
    faulty.faults.extend([errno.EAGAIN])
    assert sender.transmit(burst) == 0
    faulty.faults.extend([0, errno.EAGAIN])
    assert sender.transmit(burst) == (2 if sender.statistics.is_offloading else 1)
    await sender.wait_writable()
    assert sender.transmit(burst) == 3
    assert sender.statistics.datagrams_lost == 0


@pytest.mark.parametrize("offload", [True, False])
async def test_receiving_survives_every_errno(faulty: FaultySocket, offload: bool) -> None:
    receiver = UdpSocket(faulty, offload=offload)
    sender = SystemNetwork().bind(("127.0.0.1", 0))
    for number in ERRNOS:
        faulty.faults.extend([number, 0, number])
        sender.transmit(Burst(sender.address, receiver.address, [b"through"]))
        assert await read(receiver, 1) == [b"through"]
    assert receiver.statistics.receive_errors == 2 * len(ERRNOS)
    sender.close()


async def test_a_socket_of_nothing_but_errors_does_not_spin(
    faulty: FaultySocket, autojump_clock: trio.testing.MockClock
) -> None:
    receiver = UdpSocket(faulty)
    sender = SystemNetwork().bind(("127.0.0.1", 0))
    sender.transmit(Burst(sender.address, receiver.address, [b"bait"]))
    faulty.faults.extend([errno.ENOMEM] * 100_000)
    with trio.move_on_after(1):
        await receiver.receive()
    assert len(faulty.calls) < 20_000  # a hundred pauses in that second
    faulty.faults.clear()
    assert await read(receiver, 1) == [b"bait"]
    sender.close()


async def test_a_port_that_is_closed_does_not_hurt(faulty: FaultySocket) -> None:
    gone = SystemNetwork().bind(("127.0.0.1", 0))
    alive = SystemNetwork().bind(("127.0.0.1", 0))
    gone.close()
    sender = UdpSocket(faulty)
    for _ in range(20):
        assert sender.transmit(Burst(sender.address, gone.address, [b"x", b"y"])) == 2
    assert alive.transmit(Burst(alive.address, sender.address, [b"still here"])) == 1
    assert await read(sender, 1) == [b"still here"]
    alive.close()
