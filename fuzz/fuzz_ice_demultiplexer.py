"""A demultiplexer under datagrams of every kind, from three addresses, while its sessions come, ask and go.

The input is a program. Each step is one byte of opcode and its operands; one of them answers checks as a peer does, so
that the fuzzer finds paths that are owned.
"""

from __future__ import annotations

from xp2p_trio import stun
from xp2p_trio.ice import Demultiplexer
from xp2p_trio.ice.demultiplexing import CLAIM_LIFETIME, MAX_UNKNOWN_PER_SECOND
from xp2p_trio.sansio import Address, Burst

_LOCAL: Address = ("10.0.0.1", 4000)
_REMOTES: tuple[Address, ...] = (("10.1.0.1", 1), ("10.1.0.2", 2), ("2001:db8::1", 3))
_SESSIONS = ("ada1", "bob1", "cid1")


def test_one_input(data: bytes) -> None:
    demultiplexer: Demultiplexer[str] = Demultiplexer()
    proofs: dict[Address, tuple[str, float]] = {}
    now, at, drawn = 0.0, 0, 0
    while at < len(data):
        opcode, session = data[at] % 8, _SESSIONS[data[at] // 8 % 3]
        remote = _REMOTES[data[at] // 24 % 3]
        size = data[at + 1] if at + 1 < len(data) else 0
        operand = data[at + 2 : at + 2 + size]
        at += 2
        match opcode:
            case 0:
                now += size / 8
            case 1:
                demultiplexer.add(session, session, now)
            case 2:
                demultiplexer.remove(session, now)
                proofs = {remote: proof for remote, proof in proofs.items() if proof[0] != session}
            case 3:  # a check of ours, and its answer
                drawn += 1
                check = stun.encode_message(
                    stun.Message(stun.MessageClass.REQUEST, stun.Method.BINDING, drawn.to_bytes(12))
                )
                demultiplexer.enter(session)
                demultiplexer.sent(session, Burst(_LOCAL, remote, (check,)))
                answer = b"\x01\x01" + check[2:]
                assert [share[0] for share in demultiplexer.route(Burst(_LOCAL, remote, (answer,)), now)] == [session]
                holder, since = proofs.get(remote, (session, now))
                if holder == session or now >= since + CLAIM_LIFETIME:
                    proofs[remote] = (session, now)
            case 4:  # a check of a peer
                request = stun.encode_message(
                    stun.Message(
                        stun.MessageClass.REQUEST, stun.Method.BINDING, bytes(12), (stun.Username(f"{session}:peer"),)
                    ),
                    key=operand,
                    fingerprint=True,
                )
                demultiplexer.route(Burst(_LOCAL, remote, (request,)), now)
            case 5:  # a header that is right, and attributes that are not
                header = bytes([0, size & 1]) + len(operand).to_bytes(2) + stun.MAGIC_COOKIE.to_bytes(4) + bytes(12)
                demultiplexer.route(Burst(_LOCAL, remote, (header + operand,)), now)
                at += size
            case _:
                datagrams = tuple(operand[start : start + 30] for start in range(0, len(operand), 30)) or (b"",)
                shares = demultiplexer.route(Burst(_LOCAL, remote, datagrams), now)
                assert sum(len(share.datagrams) for _, share in shares) <= len(datagrams)
                demultiplexer.sent(session, Burst(_LOCAL, remote, datagrams))
                at += size
        for address, (holder, since) in proofs.items():
            if now < since + CLAIM_LIFETIME:
                [(owner, _)] = demultiplexer.route(Burst(_LOCAL, address, (b"\x17",)), now)
                assert owner == holder, "a path was taken from who had proved it"
        assert demultiplexer.statistics.paths <= len(_REMOTES)
        assert demultiplexer.statistics.sessions <= len(_SESSIONS)
        assert len(demultiplexer.take_unknown()) <= MAX_UNKNOWN_PER_SECOND


if __name__ == "__main__":
    from fuzz.harness import main

    main(test_one_input)
