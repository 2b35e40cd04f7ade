"""stun_leftover: all padding of all that we build is zero."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.ice.simulation import World
from tests.stun.strategies import messages
from xp2p_trio import stun
from xp2p_trio.sansio import walk_tlv


def padding(raw: bytes) -> bytes:
    elements = walk_tlv(raw, 20, length_counts_header=False)
    return b"".join(raw[stop : stop + (-(stop - start) & 3)] for _, start, stop in elements)


@given(messages, st.booleans())
def test_padding_is_zero(message: stun.Message, fingerprint: bool) -> None:
    raw = stun.encode_message(message, key=b"key", fingerprint=fingerprint)
    assert not any(padding(raw))


def test_padding_of_a_session_is_zero() -> None:
    world = World()
    world.introduce()
    world.run_for(20)
    for end in world.ends:
        assert len(end.sent) > 5
        assert not any(any(padding(data)) for _, _, _, data in end.sent)
