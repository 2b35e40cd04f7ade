"""A pair of connections whose wire the input steers: it mutates, drops, doubles, reorders, forges, and lets time pass.

The forger knows no keys. So whatever it does: nothing raises, no data arrives that was not sent, both ends that are
connected agree, and an established end is not killed by it.
"""

from __future__ import annotations

import random

from xp2p_trio import dtls

CLIENT, SERVER = (dtls.Certificate.generate(random.Random(name).randbytes) for name in ("client", "server"))
TEXT = b"what is sent"


def _make(role: dtls.Role, *, cookie: bool, small: bool) -> dtls.Connection:
    ours, theirs = (CLIENT, SERVER) if role is dtls.Role.CLIENT else (SERVER, CLIENT)
    return dtls.Connection(
        dtls.Configuration(require_cookie=cookie, max_datagram_size=256 if small else 1200),
        role=role,
        certificate=ours,
        remote_fingerprints=[theirs.fingerprint()],
        random_bytes=random.Random(role).randbytes,
    )


def test_one_input(data: bytes) -> None:
    if not data:
        return
    options, position = data[0], 1
    client, server = (_make(role, cookie=bool(options & 1), small=bool(options & 2)) for role in dtls.Role)
    ends = (client, server)
    server.connect(0.0)
    client.connect(0.0)
    now = 0.0
    was_connected = [False, False]
    wires: tuple[list[bytes], list[bytes]] = ([], [])
    for _ in range(64):
        for end, wire in zip(ends, wires, strict=True):
            wire.extend(end.transmit(now, 16))
        if position >= len(data):
            break
        action = data[position]
        argument = data[position + 1] if position + 1 < len(data) else 0
        position += 2
        side = action & 1
        wire, receiver = wires[side], ends[1 - side]
        match action >> 1 & 7:
            case 0 | 1:
                if wire:
                    receiver.receive([wire.pop(0)], now)
            case 2:
                receiver.receive(wire, now)
                wire.clear()
            case 3:
                if wire:
                    wire.append(wire.pop(0))
            case 4:
                if wire:
                    mutated = bytearray(wire[0])
                    mutated[argument % len(mutated)] ^= 1 << (action >> 4 & 7)
                    receiver.receive([bytes(mutated[: len(mutated) - (argument & 3)])], now)
            case 5:
                receiver.receive([data[position : position + argument]], now)
                position += argument
            case 6:
                now += argument / 100
                for end in ends:
                    end.handle_timeout(now)
            case _:
                end = ends[side]
                if end.state is dtls.State.CONNECTED:
                    end.send([TEXT], now)
        for index, end in enumerate(ends):
            for received in end.take_received():
                assert received == TEXT
            connected = end.state is dtls.State.CONNECTED
            assert connected or not was_connected[index]
            was_connected[index] = connected
            assert end.next_timeout() >= 0.0
    if all(was_connected):
        exported = {end.export_keying_material("fuzz", None, 32) for end in ends}
        assert len(exported) == 1
        assert (client.peer_certificate, server.peer_certificate) == (SERVER.der, CLIENT.der)


if __name__ == "__main__":
    from fuzz.harness import main

    main(test_one_input)
