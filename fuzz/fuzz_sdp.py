"""The door of descriptions: any text is a session or an `SdpError`, and a session can be written and answered."""

from __future__ import annotations

from xp2p_trio.errors import SdpError
from xp2p_trio.sdp import (
    DataDescription,
    FingerprintAttribute,
    Setup,
    answer_session,
    data_description,
    decode_session,
    encode_session,
    offer_session,
)

OURS = DataDescription(
    username_fragment="ours",
    password="0123456789abcdefghijkl",
    fingerprints=(FingerprintAttribute("sha-256", bytes(32)),),
    setup=Setup.ACTIVE,
)


def test_one_input(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    try:
        session = decode_session(text)
    except SdpError as error:
        str(error)
        return
    written = encode_session(session)
    if decode_session(written) != session:
        raise AssertionError("a session does not survive its text")
    repr(session)
    try:
        remote = data_description(session)
        answer = encode_session(answer_session(session, OURS, session_id=1, session_version=1))
    except SdpError as error:
        str(error)
        return
    if answer.splitlines() != answer.split("\r\n")[:-1]:
        raise AssertionError("the offer injected a line into its answer")
    ours = data_description(decode_session(answer))
    if (ours.mid, ours.username_fragment, ours.fingerprints) != (remote.mid, "ours", OURS.fingerprints):
        raise AssertionError("the answer is not ours")
    again = encode_session(offer_session(remote, session_id=1, session_version=1))
    if data_description(decode_session(again)) != remote:
        raise AssertionError("a description does not survive its offer")


if __name__ == "__main__":
    from fuzz.harness import main

    main(test_one_input)
