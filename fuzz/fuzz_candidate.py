"""The door of candidate lines: any text is a candidate or an `SdpError`, and a candidate survives its line."""

from __future__ import annotations

from xp2p_trio.errors import SdpError
from xp2p_trio.sdp import decode_candidate, encode_candidate


def test_one_input(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    for line in (text, f"candidate:{text}", f"a=candidate:1 1 udp 1 192.0.2.1 1 typ host {text}"):
        try:
            candidate = decode_candidate(line)
        except SdpError as error:
            str(error)
            continue
        written = encode_candidate(candidate)
        if written.splitlines() != [written]:
            raise AssertionError("a candidate of more than one line")
        if decode_candidate(written) != candidate:
            raise AssertionError("a candidate does not survive its line")


if __name__ == "__main__":
    from fuzz.harness import main

    main(test_one_input)
