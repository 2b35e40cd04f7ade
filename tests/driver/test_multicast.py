"""Multicast sockets of the kernel, where this machine has multicast; elsewhere the tests say that they were skipped."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest
import trio

from xp2p_trio.driver.multicast import interface_index, open_multicast
from xp2p_trio.driver.system_network import SystemNetwork
from xp2p_trio.driver.udp import UdpSocket
from xp2p_trio.errors import InvalidArgument
from xp2p_trio.sansio import Address, Burst

GROUP, GROUP_IPV6, PORT = "224.0.0.251", "ff02::fb", 25354

_OTHER_PROGRAM = """
import socket, sys
from xp2p_trio.driver.multicast import open_multicast
group, port, host = sys.argv[1], int(sys.argv[2]), sys.argv[3]
sock = open_multicast(group, port, host)
sock.setblocking(True)
sock.settimeout(20)
print("ready", flush=True)
while True:
    data, source = sock.recvfrom(100)
    if data == b"question":
        sock.sendto(b"to all", (group, port))
        sock.sendto(b"to one", source)
        break
"""


def outward(version: int) -> str:
    for each in SystemNetwork().interfaces():
        if not each.is_loopback and (":" in each.address) == (version == 6):
            return each.address
    pytest.skip(f"this machine has no IPv{version} address but loopback")


def join(group: str, host: str, port: int = PORT) -> UdpSocket:
    try:
        return SystemNetwork().bind_multicast(group, port, host)
    except OSError as error:
        pytest.skip(f"no multicast here: {error}")


@pytest.fixture(params=["loopback", "outward", "outward IPv6"])
def place(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A group, and an address to join it on."""
    match request.param:
        case "loopback":
            return GROUP, "127.0.0.1"
        case "outward":
            return GROUP, outward(4)
        case _:
            return GROUP_IPV6, outward(6)


@pytest.fixture
def other_program(place: tuple[str, str]) -> Iterator[str]:
    """Another process that is in the group, too. Its answers: one to all, one to who asked."""
    group, host = place
    with subprocess.Popen(
        [sys.executable, "-c", _OTHER_PROGRAM, group, str(PORT), host], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            pytest.skip("no multicast here")
        yield host
        process.kill()


async def hear(sock: UdpSocket, *wanted: bytes) -> dict[bytes, Address]:
    """Receive until these have come, for five seconds at most. Returns what came, with its source."""
    heard: dict[bytes, Address] = {}
    with trio.move_on_after(5):
        while not heard.keys() >= set(wanted):
            for burst in await sock.receive():
                heard |= dict.fromkeys(burst.datagrams, burst.remote)
    return heard


async def test_another_process(place: tuple[str, str], other_program: str) -> None:
    group, host = place
    with closing(join(group, host)) as shared, closing(join(group, host, 0)) as own:
        assert own.transmit(Burst(own.address, (group, PORT), [b"question"])) == 1
        heard = await hear(shared, b"question", b"to all")
        if not heard:
            pytest.skip(f"multicast of {host} does not come back")
        assert heard[b"question"] == own.address
        assert heard[b"to all"][1] == PORT
        assert (await hear(own, b"to one"))[b"to one"][1] == PORT


async def test_unicast_to_the_port_is_somebody_elses(place: tuple[str, str]) -> None:
    group, host = place
    with closing(join(group, host)) as shared, closing(join(group, host, 0)) as own:
        own.transmit(Burst(own.address, (host, PORT), [b"unicast"]))
        own.transmit(Burst(own.address, (group, PORT), [b"multicast"]))
        heard = await hear(shared, b"multicast")
        if not heard:
            pytest.skip(f"multicast of {host} does not come back")
        assert list(heard) == [b"multicast"]


async def test_an_interface_hears_its_own_link_only() -> None:
    with closing(join(GROUP, "127.0.0.1")) as near, closing(join(GROUP, outward(4))) as far:
        far.transmit(Burst(far.address, (GROUP, PORT), [b"outside"]))
        near.transmit(Burst(near.address, (GROUP, PORT), [b"inside"]))
        heard = await hear(near, b"inside")
        if not heard:
            pytest.skip("multicast of loopback does not come back")
        assert list(heard) == [b"inside"]


def test_a_port_that_is_not_shared_is_named() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as selfish:
        selfish.bind(("0.0.0.0", 0))
        port = selfish.getsockname()[1]
        with pytest.raises(OSError, match=rf"{GROUP} port {port} on 127\.0\.0\.1"):
            open_multicast(GROUP, port, "127.0.0.1")
        open_multicast(GROUP, 0, "127.0.0.1").close()


@pytest.mark.parametrize(
    ("group", "host"),
    [("192.0.2.1", "127.0.0.1"), ("all.example", "127.0.0.1"), (GROUP_IPV6, "127.0.0.1"), (GROUP, "::1")],
)
def test_only_groups_are_joined(group: str, host: str) -> None:
    with pytest.raises(InvalidArgument):
        open_multicast(group, PORT, host)


def test_interfaces_have_numbers() -> None:
    loopback = next((each.name for each in SystemNetwork().interfaces() if each.address == "127.0.0.1"), None)
    if loopback is None:
        pytest.skip("this machine has no loopback")
    assert socket.if_indextoname(interface_index("127.0.0.1")) == loopback
    with pytest.raises(OSError, match=r"203\.0\.113\.5"):
        interface_index("203.0.113.5")
