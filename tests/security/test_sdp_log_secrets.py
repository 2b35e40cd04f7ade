"""sdp_log_secrets: no repr and no error holds a password or key."""

from __future__ import annotations

import pytest

from tests.sdp.strategies import description
from xp2p_trio.errors import SdpError
from xp2p_trio.sdp import Attribute, Field, data_description, decode_session, encode_session, offer_session

SECRET = "Sesame0pen" * 3


def test_reprs() -> None:
    local = description(password=SECRET)
    session = offer_session(local, session_id=1, session_version=1)
    assert SECRET in encode_session(session)
    for value in (local, session, session.media[0], Attribute("crypto", SECRET), Field("k", f"clear:{SECRET}")):
        assert SECRET not in repr(value)


@pytest.mark.parametrize(
    "line",
    [
        f"a=ice-pwd:{SECRET}-",
        f"a=ice-pwd:{SECRET}\0",
        f"a=ice-pwd:{SECRET}\rx",
        f"k=clear:{SECRET}\0",
        f"a=crypto:{SECRET}\0",
    ],
)
def test_errors(line: str) -> None:
    text = encode_session(offer_session(description(), session_id=1, session_version=1))
    text = "\r\n".join(line if old.startswith("a=ice-pwd") else old for old in text.split("\r\n"))
    with pytest.raises(SdpError) as caught:
        data_description(decode_session(text))
    assert SECRET not in str(caught.value) + repr(caught.value) + repr(caught.value.line)
    assert caught.value.line_number is not None
