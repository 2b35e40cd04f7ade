"""The STUN codec: noise is refused by one error, and what decodes survives a round trip."""

from __future__ import annotations

from xp2p_trio import stun
from xp2p_trio.errors import DecodeError

_KEY = stun.short_term_key("VOkJxbRl1RmTxUk/WvJxBt")


def test_one_input(data: bytes) -> None:
    try:
        message = stun.decode_message(data)
    except DecodeError:
        return
    stun.verify_integrity(message, _KEY)
    # What is ignored behind the integrity is gone, so the second message may be shorter, but says the same. An
    # attribute that covers the message no longer fits then.
    plain = tuple(
        attribute
        for attribute in message.attributes
        if not isinstance(attribute, stun.MessageIntegrity | stun.MessageIntegritySha256 | stun.Fingerprint)
    )
    rebuilt = stun.Message(message.message_class, message.method, message.transaction_id, plain)
    raw = stun.encode_message(rebuilt, key=_KEY, fingerprint=True)
    again = stun.decode_message(raw)
    assert again.attributes[: len(plain)] == plain
    assert (again.message_class, again.method) == (message.message_class, message.method)
    assert stun.verify_integrity(again, _KEY) is stun.IntegrityAlgorithm.SHA1


if __name__ == "__main__":
    from fuzz.harness import main

    main(test_one_input)
