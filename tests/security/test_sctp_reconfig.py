"""sctp_reconfig: one request at a time, in sequence, answered alike when repeated, never before its data."""

from __future__ import annotations

import pytest

from tests.sctp.evil import OUR_TSN, EvilPeer
from xp2p_trio.sctp import (
    IncomingStreamsReset,
    Message,
    OutgoingMessage,
    OutgoingStreamsReset,
    OutgoingStreamsResetDenied,
)
from xp2p_trio.sctp.wire import (
    ChunkType,
    OutgoingResetRequest,
    Response,
    Result,
    decode_reconfig,
    encode_chunk,
    encode_reconfig,
)

MASK = 0xFFFFFFFF


def request(number: int, last: int, *stream_ids: int) -> bytes:
    return encode_reconfig(OutgoingResetRequest((OUR_TSN + number) & MASK, 0, (OUR_TSN + last) & MASK, stream_ids))


def results(peer: EvilPeer) -> list[int]:
    found = []
    for packet in peer.replies:
        for chunk in packet.chunks:
            if chunk.type == ChunkType.RE_CONFIG:
                found += [each.result for each in decode_reconfig(chunk.value) if isinstance(each, Response)]
    return found


def test_in_sequence_and_repeated() -> None:
    peer = EvilPeer()
    for number, expected in ((0, Result.PERFORMED), (0, Result.PERFORMED), (1, Result.PERFORMED)):
        peer.send(request(number, -1, 3))
        assert results(peer)[-1] == expected
    for number in (3, 7, 2**31, -5):
        peer.send(request(number, -1, 3))
        assert results(peer)[-1] == Result.BAD_SEQUENCE_NUMBER
    assert [event for event in peer.events if isinstance(event, IncomingStreamsReset)] == [
        IncomingStreamsReset((3,))
    ] * 2


def test_a_reset_waits_for_its_data_and_what_is_sent_after_it_waits_too() -> None:
    peer = EvilPeer()
    peer.send(request(0, 1, 1))
    assert results(peer) == [Result.IN_PROGRESS]
    peer.send(peer.data(2, b"new", stream=1, ssn=0), peer.data(3, b"other", stream=2, ssn=0))
    assert peer.association.take_received() == [Message(2, 53, b"other")]
    peer.send(request(0, 1, 1))
    assert results(peer)[-1] == Result.IN_PROGRESS
    peer.send(peer.data(0, b"old0", stream=1, ssn=0))
    peer.send(peer.data(1, b"old1", stream=1, ssn=1))
    assert [message.data for message in peer.association.take_received()] == [b"old0", b"old1", b"new"]
    assert results(peer)[-1] == Result.PERFORMED
    assert peer.events.count(IncomingStreamsReset((1,))) == 1


def test_a_second_request_before_the_first_is_done() -> None:
    peer = EvilPeer()
    peer.send(request(0, 1, 1))
    peer.send(request(1, 1, 2))
    assert results(peer)[-1] == Result.REQUEST_ALREADY_IN_PROGRESS


def test_a_flood() -> None:
    peer = EvilPeer()
    packets = [peer.packet(request(number, -1, 1)) for number in range(5000)]
    peer.association.receive(packets, peer.now)
    sent = 0
    while out := peer.association.transmit(peer.now, 50):
        sent += len(out)
    assert sent <= 4


def test_unknown_streams_and_all_streams() -> None:
    peer = EvilPeer()
    peer.send(request(0, -1, *range(1024, 1500)))
    assert results(peer) == [Result.NOTHING_TO_DO]
    peer.send(request(1, -1))
    assert peer.events[-1] == IncomingStreamsReset(())


@pytest.mark.parametrize("kind", [14, 15, 17, 18])
def test_other_requests_are_denied(kind: int) -> None:
    peer = EvilPeer()
    value = kind.to_bytes(2, "big") + b"\0\x0c" + OUR_TSN.to_bytes(4, "big") + b"\0\x01\0\0"
    peer.send(encode_chunk(ChunkType.RE_CONFIG, 0, value))
    assert results(peer) == [Result.DENIED]


@pytest.mark.parametrize(
    ("result", "event"),
    [
        (Result.PERFORMED, OutgoingStreamsReset((5,))),
        (Result.NOTHING_TO_DO, OutgoingStreamsReset((5,))),
        (Result.DENIED, OutgoingStreamsResetDenied((5,))),
        (Result.WRONG_SSN, OutgoingStreamsResetDenied((5,))),
        (Result.BAD_SEQUENCE_NUMBER, OutgoingStreamsResetDenied((5,))),
        (99, OutgoingStreamsResetDenied((5,))),
    ],
)
def test_our_request(result: int, event: object) -> None:
    peer = EvilPeer()
    peer.association.send([OutgoingMessage(5, 53, b"before")], peer.now)
    peer.association.reset_streams([5], peer.now)
    peer.association.send([OutgoingMessage(5, 53, b"after")], peer.now)
    assert peer.chunk_types(peer.pull()) == [ChunkType.DATA], "not before the data is acknowledged"
    (asked,) = peer.send(peer.sack(1))
    (ours,) = decode_reconfig(asked.chunks[0].value)
    assert isinstance(ours, OutgoingResetRequest)
    assert ours.stream_ids == (5,)
    assert ours.last_assigned_tsn == peer.tsn
    for wrong in (ours.request_number + 1, ours.request_number - 1):
        peer.send(encode_reconfig(Response(wrong & MASK, Result.PERFORMED)))
    peer.send(encode_reconfig(Response(ours.request_number, Result.IN_PROGRESS)))
    assert peer.events[1:] == []
    peer.now = peer.association.next_timeout()
    peer.association.handle_timeout(peer.now)
    (again,) = peer.pull()
    assert decode_reconfig(again.chunks[0].value) == (ours,), "in progress: the same number again"
    answers = peer.send(encode_reconfig(Response(ours.request_number, result)))
    assert peer.events[1:] == [event]
    (data,) = [chunk for packet in answers for chunk in packet.chunks if chunk.type == ChunkType.DATA]
    ssn = int.from_bytes(data.value[6:8], "big")
    assert ssn == (0 if isinstance(event, OutgoingStreamsReset) else 1)


def test_without_the_extension_it_is_denied_at_once() -> None:
    import attrs

    from xp2p_trio.sctp import State

    init = attrs.evolve(EvilPeer(State.CLOSED).init, supported_extensions=frozenset())
    peer = EvilPeer(init=init)
    peer.association.reset_streams([1, 2], peer.now)
    assert peer.pull() == []
    assert peer.events[-1] == OutgoingStreamsResetDenied((1, 2))
