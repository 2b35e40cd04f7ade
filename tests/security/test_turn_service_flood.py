"""turn_service_flood: a client of the embedded server that reads no answers does not fill its memory."""

from __future__ import annotations

import pathlib
import socket
import ssl

import trio

from tests.driver.certificates import server_context
from tests.security import tls_attacker
from xp2p_trio.driver import SystemNetwork
from xp2p_trio.driver.tcp import KEEP_SIZE
from xp2p_trio.testing.tls_listener import TlsListener

NAME = "turn.example"


async def test_an_endless_demand_for_new_keys_is_an_end(tmp_path: pathlib.Path) -> None:
    context, issuer = server_context(tmp_path, NAME)
    trust = ssl.create_default_context(cafile=issuer)
    log = tls_attacker.log_secrets(tmp_path, trust)
    listener = TlsListener(SystemNetwork().listen(("127.0.0.1", 0)), context)
    sent: list[int] = []

    async def attack() -> None:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(listener.address)
            sock.setblocking(False)
            writer = await tls_attacker.shake_hands(sock, trust, log, server_name=NAME)
            size = 0
            try:
                while True:
                    records = b"".join(writer.key_update() for _ in range(100))
                    while records:
                        try:
                            records = records[sock.send(records) :]
                        except BlockingIOError:
                            await trio.lowlevel.wait_writable(sock)
                    size += 100
                    assert size < 1_000_000
            except ConnectionError:
                sent.append(size)

    with trio.fail_after(100):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(attack)
            stream = await listener.accept()
            while await stream.receive():
                pass
            stream.close()
    listener.close()
    assert sent[0] * 27 > KEEP_SIZE
