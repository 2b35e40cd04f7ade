"""Records and what is in them, as they come off the wire: framing, fragments, reassembly, alerts."""

from __future__ import annotations

from xp2p_trio import dtls
from xp2p_trio.dtls.reassembly import MAX_BUFFERED_SIZE, MAX_CERTIFICATE_SIZE, Reassembler
from xp2p_trio.dtls.record import MAX_RECORDS_PER_DATAGRAM, encode_header
from xp2p_trio.errors import DecodeError


def test_one_input(data: bytes) -> None:
    try:
        records = dtls.decode_records(data)
    except DecodeError:
        return
    assert 0 < len(records) <= MAX_RECORDS_PER_DATAGRAM
    again = b"".join(
        encode_header(record.content_type, record.version, record.epoch, record.sequence_number, len(record.fragment))
        + record.fragment
        for record in records
    )
    assert data.startswith(again)
    reassembler = Reassembler()
    for record in records:
        try:
            alert = dtls.decode_alert(record.fragment)
        except DecodeError:
            pass
        else:
            assert dtls.encode_alert(alert) == record.fragment
            assert str(alert)
        try:
            fragments = dtls.decode_fragments(record.fragment)
        except DecodeError:
            continue
        assert sum(len(fragment.body) + 12 for fragment in fragments) == len(record.fragment)
        for fragment in fragments:
            reassembler.add(fragment)
            while (message := reassembler.take_message()) is not None:
                assert len(message.body) <= MAX_CERTIFICATE_SIZE
                assert message.message_seq == reassembler.next_message_seq - 1
    assert len(data) <= MAX_BUFFERED_SIZE or reassembler.next_message_seq >= 0


if __name__ == "__main__":
    from fuzz.harness import main

    main(test_one_input)
