"""Waiting for other addresses."""

from __future__ import annotations

import contextlib
import errno
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from xp2p_trio import open_peer_connection
from xp2p_trio.driver import SystemNetwork
from xp2p_trio.driver.interface_watch import DEBOUNCE, POLL_INTERVAL, wait_other, wait_other_after_news

# A network namespace of its own, in which loopback is down at first.
IN_A_NAMESPACE = """
import ctypes, fcntl, os, socket, struct, sys
import trio
from trio.testing import wait_all_tasks_blocked
from xp2p_trio.driver import SystemNetwork

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
libc = ctypes.CDLL(None, use_errno=True)
if libc.unshare(CLONE_NEWNET if os.geteuid() == 0 else CLONE_NEWUSER | CLONE_NEWNET):
    sys.exit(f"no network namespace: {os.strerror(ctypes.get_errno())}")

async def main():
    network = SystemNetwork()
    before = network.interfaces()
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(network.wait_interfaces_changed)
            await wait_all_tasks_blocked()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:  # ifconfig lo up
                fcntl.ioctl(sock, 0x8914, struct.pack("16sH14x", b"lo", 0x41))
    print(before, "->", [each.address for each in network.interfaces()])

trio.run(main)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="rtnetlink is Linux's")
def test_the_kernel_tells_of_an_interface_that_comes_up() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IN_A_NAMESPACE], capture_output=True, text=True, timeout=60, check=False
    )
    if "no network namespace" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("[] -> ['127.0.0.1'")


class Addresses:
    """What a test says they are."""

    def __init__(self) -> None:
        self.now = ["192.0.2.1"]
        self.looks = 0

    def look(self) -> list[str]:
        self.looks += 1
        return list(self.now)


async def test_a_change_that_came_before_is_told_at_once() -> None:
    with trio.fail_after(5), trio.testing.assert_checkpoints():
        await wait_other(["192.0.2.9"], Addresses().look)


async def test_news_that_change_nothing_and_bursts_of_news(autojump_clock: MockClock) -> None:
    ours, theirs = socket.socketpair(type=socket.SOCK_DGRAM)
    addresses = Addresses()
    with ours, theirs:
        ours.setblocking(False)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_other_after_news, addresses.look(), addresses.look, ours)
            await wait_all_tasks_blocked()
            theirs.send(b"nothing of interest")
            await trio.sleep(2 * DEBOUNCE)
            assert addresses.looks == 3
            start = trio.current_time()
            theirs.send(b"one goes")
            addresses.now = []
            await trio.sleep(DEBOUNCE / 2)
            for _ in range(5):
                theirs.send(b"another comes")
            addresses.now = ["192.0.2.2"]
        assert trio.current_time() - start == pytest.approx(DEBOUNCE)
        assert addresses.looks == 4
        with pytest.raises(BlockingIOError):
            ours.recv(100)


async def test_where_nothing_tells_one_looks_again_and_again(autojump_clock: MockClock) -> None:
    addresses = Addresses()
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_other_after_news, addresses.look(), addresses.look, None)
        await trio.sleep(2.5 * POLL_INTERVAL)
        addresses.now = []
    assert trio.current_time() - start == 3 * POLL_INTERVAL


@pytest.mark.parametrize("has_news", [False, True])
async def test_a_look_that_fails_is_repeated(autojump_clock: MockClock, has_news: bool) -> None:
    """A process without any more files cannot even list its addresses."""
    looks = []

    def look() -> int:
        looks.append(trio.current_time())
        if trio.current_time() < 100:
            raise OSError(errno.EMFILE, "no more files")
        return 1

    ours, theirs = socket.socketpair(type=socket.SOCK_DGRAM)
    with ours, theirs, trio.fail_after(101.5):
        ours.setblocking(False)
        await wait_other_after_news(0, look, ours if has_news else None)
    assert 100 <= len(looks) <= 102


@contextlib.contextmanager
def no_more_files() -> Iterator[None]:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_addresses_that_cannot_be_listed_are_those_of_last_time(caplog: pytest.LogCaptureFixture) -> None:
    network, other = SystemNetwork(), SystemNetwork()
    known = network.interfaces()
    assert known
    with no_more_files():
        assert network.interfaces() == known
        assert other.interfaces() == []
    assert other.interfaces() == known
    assert "cannot be had" in caplog.text


async def test_a_connection_of_a_process_without_more_files() -> None:
    async with open_peer_connection() as alice, open_peer_connection() as bob:
        bob.set_remote_description(alice.set_local_description())
        alice.set_remote_description(bob.set_local_description())
        with trio.fail_after(20):
            await alice.wait_connected()
            with no_more_files():
                alice.restart_ice()
                bob.set_remote_description(alice.set_local_description())
                alice.set_remote_description(bob.set_local_description())
                async with open_peer_connection() as carol:
                    assert "a=candidate" not in carol.set_local_description().sdp
                channel = alice.create_data_channel("talk")
                await channel.send("hello")
                assert await (await bob.incoming_channels.accept()).receive() == "hello"
