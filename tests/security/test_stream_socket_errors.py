"""ice_socket_errors, of streams and of multicast: each errno at each call. None escapes, none leaks, none spins."""

from __future__ import annotations

import errno
import itertools
import os
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
import trio
import trio.testing

from xp2p_trio.driver import SystemNetwork, multicast
from xp2p_trio.driver.interface_watch import POLL_INTERVAL, wait_other, wait_other_after_news
from xp2p_trio.sansio import Address, Transport

TCP = Transport.TCP
BLOCKED = {errno.EAGAIN, errno.EWOULDBLOCK}
ERRNOS = sorted(set(errno.errorcode) - BLOCKED - {errno.EINPROGRESS, errno.EALREADY})
SOME = [errno.ENOBUFS, errno.ENOMEM, errno.EMFILE, errno.EPERM, errno.EINVAL, errno.ECONNABORTED]


class Faults:
    """Which call of which sockets fails, with which error, and how often it is made."""

    def __init__(self) -> None:
        self.planned: dict[str, tuple[int, int]] = {}  # by call: how many go well, the error of all behind these
        self.calls: Counter[str] = Counter()

    def plan(self, call: str, number: int, *, good: int = 0) -> None:
        self.planned[call] = good, number
        self.calls.clear()

    def forget(self) -> None:
        self.planned.clear()

    def meet(self, call: str) -> None:
        self.calls[call] += 1
        good, number = self.planned.get(call, (0, 0))
        if number and self.calls[call] > good:
            raise OSError(number, os.strerror(number))


def _meeting(call: str) -> Callable[..., Any]:
    def method(self: FaultySocket, *arguments: Any) -> Any:
        FaultySocket.faults.meet(call)
        return getattr(socket.socket, call)(self, *arguments)

    return method


class FaultySocket(socket.socket):
    faults = Faults()

    for name in ("setsockopt", "getsockopt", "bind", "listen", "send", "recv", "getsockname", "setblocking"):
        locals()[name] = _meeting(name)
    del name

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        FaultySocket.faults.meet("socket")
        super().__init__(*arguments, **keywords)

    def accept(self) -> tuple[socket.socket, Any]:
        FaultySocket.faults.meet("accept")
        descriptor, address = self._accept()  # type: ignore[attr-defined]
        return FaultySocket(self.family, self.type, self.proto, fileno=descriptor), address

    def connect_ex(self, address: Address) -> int:  # type: ignore[override]
        try:
            FaultySocket.faults.meet("connect_ex")
        except OSError as error:
            return error.errno or 0
        return super().connect_ex(address)


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    FaultySocket.faults = Faults()
    module = ModuleType("socket")
    module.__dict__.update(socket.__dict__, socket=FaultySocket)
    for user in ("tcp", "multicast"):  # trio has sockets of its own
        monkeypatch.setattr(f"xp2p_trio.driver.{user}.socket", module)
    before = sorted(os.listdir("/proc/self/fd"))
    yield FaultySocket.faults
    assert sorted(os.listdir("/proc/self/fd")) == before


async def pair() -> tuple[Any, socket.socket]:
    """A stream of ours, and the other end of it, which has no faults."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        stream = await SystemNetwork().connect_stream(None, server.getsockname(), TCP, "")
        descriptor, _ = server._accept()  # type: ignore[attr-defined]
        return stream, socket.socket(fileno=descriptor)


async def test_an_error_of_reading_is_the_end_of_the_stream(faults: Faults) -> None:
    for number in ERRNOS:
        stream, other = await pair()
        with other:
            other.sendall(b"never seen")
            faults.plan("recv", number)
            with trio.fail_after(5):
                assert await stream.receive() == b""
                assert await stream.receive() == b""
            stream.close()
        faults.forget()


async def test_an_error_of_writing_is_the_end_of_the_stream(faults: Faults) -> None:
    """Else its layer would wait for answers to what never left."""
    for number in ERRNOS:
        stream, other = await pair()
        with other:
            other.sendall(b"seen")
            faults.plan("send", number)
            assert stream.transmit([b"lost", b"as well"]) == 2
            with trio.fail_after(5):
                await stream.wait_writable()
                assert await stream.receive() == b"seen"
                assert await stream.receive() == b""
            assert other.recv(100) == b""
            stream.close()
        faults.forget()


CONNECTING = ["socket", "setblocking", "setsockopt", "bind", "connect_ex", "getsockopt"]


@pytest.mark.parametrize("call", CONNECTING)
async def test_connecting_fails_with_words(faults: Faults, call: str) -> None:
    for number in ERRNOS:
        with socket.create_server(("127.0.0.1", 0)) as server:
            faults.plan(call, number)
            with pytest.raises(OSError, match=r"no TCP connection from 127\.0\.0\.1 to 127\.0\.0\.1 port") as caught:
                await SystemNetwork().connect_stream("127.0.0.1", server.getsockname(), TCP, "")
        assert caught.value.errno == number
        faults.forget()


@pytest.mark.parametrize("call", ["socket", "setblocking", "setsockopt", "bind", "listen", "getsockname"])
async def test_listening_fails_with_words(faults: Faults, call: str) -> None:
    for number in ERRNOS:
        faults.plan(call, number)
        with pytest.raises(OSError, match="cannot listen on ::1 port 0") as caught:
            SystemNetwork().listen(("::1", 0))
        assert caught.value.errno == number
        faults.forget()


async def test_accepting_goes_on_and_does_not_spin(faults: Faults, autojump_clock: trio.testing.MockClock) -> None:
    listener = SystemNetwork().listen(("127.0.0.1", 0))
    for number in ERRNOS:
        with socket.socket() as client:
            client.connect(listener.address)
            faults.plan("accept", number)
            with trio.move_on_after(3):
                await listener.accept()
            assert 1 <= faults.calls["accept"] <= 40
            faults.forget()
            stream = await listener.accept()
            assert stream.remote == client.getsockname()
            stream.close()
    listener.close()


@pytest.mark.parametrize("call", ["setsockopt", "setblocking", "getsockname"])
async def test_what_cannot_be_prepared_is_no_stream(faults: Faults, call: str) -> None:
    listener = SystemNetwork().listen(("127.0.0.1", 0))
    with socket.socket() as client, socket.socket() as other:
        client.connect(listener.address)
        faults.plan(call, errno.EINVAL)
        with trio.move_on_after(0.05):
            await listener.accept()
        faults.forget()
        assert client.recv(1) == b""
        other.connect(listener.address)
        stream = await listener.accept()
        assert stream.remote == other.getsockname()
        stream.close()
    listener.close()


async def test_closing_a_listener_during_its_pause(faults: Faults, autojump_clock: trio.testing.MockClock) -> None:
    listener = SystemNetwork().listen(("127.0.0.1", 0))
    with socket.socket() as client:
        client.connect(listener.address)
        faults.plan("accept", errno.EMFILE)
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def _() -> None:
                with pytest.raises(trio.ClosedResourceError):
                    await listener.accept()

            await trio.sleep(0.05)
            listener.close()


# --- multicast and the news of interfaces


@pytest.mark.parametrize(("group", "host"), [("224.0.0.251", "127.0.0.1"), ("ff02::fb", "::1")], ids=["IPv4", "IPv6"])
async def test_joining_a_group_fails_with_words(faults: Faults, group: str, host: str) -> None:
    for call, number, good in itertools.product(("socket", "setblocking", "setsockopt", "bind"), SOME, range(12)):
        faults.plan(call, number, good=good)
        try:
            SystemNetwork().bind_multicast(group, 5353, host).close()
        except OSError as error:
            words = f"[Errno {number}] cannot join {group} port 5353 on {host}: {os.strerror(number)}"
            assert str(error) == words  # noqa: PT017 - it may also go well
        else:
            assert good > 0
    faults.forget()


async def test_news_of_nothing_but_errors_does_not_spin(autojump_clock: trio.testing.MockClock) -> None:
    """ENOBUFS of netlink goes away by being read; another error need not."""
    looks = []

    def look() -> int:
        looks.append(trio.current_time())
        return 0

    FaultySocket.faults = Faults()
    ours, theirs = socket.socketpair()
    with ours, theirs, FaultySocket(fileno=ours.detach()) as news:
        theirs.send(b"news")
        FaultySocket.faults.plan("recv", errno.ENOMEM)
        with trio.move_on_after(10):
            await wait_other_after_news(0, look, news)
    assert 50 <= len(looks) <= 110


@pytest.mark.parametrize("call", ["socket", "setblocking", "bind"])
async def test_where_the_system_tells_no_news_one_looks_at_intervals(
    faults: Faults, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock, call: str
) -> None:
    """As in a sandbox without netlink."""
    looks = []

    def look() -> int:
        looks.append(trio.current_time())
        return len(looks) // 5

    monkeypatch.setattr("xp2p_trio.driver.interface_watch.socket", multicast.socket)
    faults.plan(call, errno.EPERM)
    await wait_other(0, look)
    assert looks == [looks[0] + number * POLL_INTERVAL for number in range(5)]
    faults.forget()
