"""SCTP packets and every chunk in them: any bytes decode or raise DecodeError, and what decodes encodes to the same."""

from __future__ import annotations

from collections.abc import Callable

from xp2p_trio.errors import DecodeError
from xp2p_trio.sctp.wire import (
    Chunk,
    ChunkType,
    decode_causes,
    decode_data,
    decode_forward_tsn,
    decode_heartbeat,
    decode_init,
    decode_packet,
    decode_reconfig,
    decode_sack,
    decode_shutdown,
    encode_data,
    encode_forward_tsn,
    encode_sack,
    has_correct_checksum,
    with_checksum,
)

DECODERS: dict[int, Callable[[bytes], object]] = {
    ChunkType.INIT: decode_init,
    ChunkType.INIT_ACK: decode_init,
    ChunkType.SACK: decode_sack,
    ChunkType.HEARTBEAT: decode_heartbeat,
    ChunkType.HEARTBEAT_ACK: decode_heartbeat,
    ChunkType.ABORT: decode_causes,
    ChunkType.SHUTDOWN: decode_shutdown,
    ChunkType.ERROR: decode_causes,
    ChunkType.RE_CONFIG: decode_reconfig,
    ChunkType.FORWARD_TSN: decode_forward_tsn,
}


def test_one_input(data: bytes) -> None:
    try:
        packet = decode_packet(data)
    except DecodeError:
        return
    assert sum(4 + len(chunk.value) for chunk in packet.chunks) <= len(data)
    assert has_correct_checksum(with_checksum(data[:8] + bytes(4) + data[12:]))
    for chunk in packet.chunks:
        try:
            _look_into(chunk)
        except DecodeError:
            continue


def _look_into(chunk: Chunk) -> None:
    value = chunk.value
    if chunk.type == ChunkType.DATA:
        encoded = encode_data(decode_data(chunk.flags, value))
        assert encoded[4 : 4 + len(value)] == value
    elif chunk.type == ChunkType.SACK:
        sack = decode_sack(value)
        again = encode_sack(sack.cumulative_tsn_ack, sack.a_rwnd, sack.gap_ack_blocks, sack.duplicate_tsns)
        assert again[4:] == value
    elif chunk.type == ChunkType.FORWARD_TSN:
        assert encode_forward_tsn(decode_forward_tsn(value))[4:] == value
    elif chunk.type in DECODERS:
        DECODERS[chunk.type](value)


if __name__ == "__main__":
    from fuzz.harness import main

    main(test_one_input)
