"""stun_len16: what does not fit into 16 bits is refused, not cut."""

from __future__ import annotations

import pytest

from xp2p_trio import stun
from xp2p_trio.errors import DecodeError, InvalidArgument

TID = bytes(12)


def message(*attributes: stun.Attribute) -> stun.Message:
    return stun.Message(stun.MessageClass.REQUEST, 1, TID, attributes)


def test_the_longest_message_and_one_more() -> None:
    fits = stun.Opaque(0x8000, bytes(0xFFFC - 4))
    assert len(stun.encode_message(message(fits))) == 20 + 0xFFFC
    assert stun.decode_message(stun.encode_message(message(fits))).attributes == (fits,)
    with pytest.raises(InvalidArgument, match="65535"):
        stun.encode_message(message(stun.Opaque(0x8000, bytes(0xFFFC - 3))))
    for options in ({"key": b"k"}, {"fingerprint": True}):
        with pytest.raises(InvalidArgument, match="65535"):
            stun.encode_message(message(fits), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("attribute", "limit"), [(stun.Realm, 763), (stun.Nonce, 763), (stun.Software, 763), (stun.Username, 508)]
)
def test_texts_at_their_limit(attribute: type[stun.Realm], limit: int) -> None:
    whole = attribute("x" * limit)
    assert stun.decode_message(stun.encode_message(message(whole))).attributes == (whole,)
    with pytest.raises(InvalidArgument, match=str(limit)):
        attribute("x" * (limit + 1))
    with pytest.raises(DecodeError, match=str(limit)):
        stun.decode_message(stun.encode_message(message(stun.Opaque(attribute.type, b"x" * (limit + 1)))))
