"""Key material is exported only by a connection that is authenticated (and RFC 5705 contexts are kept apart)."""

from __future__ import annotations

import pytest

from tests.dtls.duo import Duo, connected
from xp2p_trio import dtls
from xp2p_trio.errors import InvalidArgument, InvalidState


def test_not_before_connected_and_not_after() -> None:
    duo = Duo()
    duo.begin()
    while not duo.is_connected:
        for end in (duo.client, duo.server):
            if end.state is not dtls.State.CONNECTED:
                with pytest.raises(InvalidState):
                    end.export_keying_material("EXTRACTOR-dtls_srtp", None, 60)
        duo.step()
    ours, theirs = (end.export_keying_material("EXTRACTOR-dtls_srtp", None, 60) for end in (duo.client, duo.server))
    assert ours == theirs
    assert len(ours) == 60
    duo.client.close(duo.now)
    duo.settle()
    for end in (duo.client, duo.server):
        with pytest.raises(InvalidState):
            end.export_keying_material("EXTRACTOR-dtls_srtp", None, 60)


def test_labels_contexts_and_sessions_are_kept_apart() -> None:
    end = Duo().connect().client
    values = [
        end.export_keying_material(label, context, 32)
        for label in ("a", "b")
        for context in (None, b"", b"a", b"aa", bytes(65535))
    ]
    assert len(set(values)) == len(values)
    assert end.export_keying_material("a", None, 16) == values[0][:16]
    assert end.export_keying_material("a", None, 0) == b""


@pytest.mark.parametrize(
    ("label", "context", "length"), [("", None, 1), ("é", None, 1), ("a", None, -1), ("a", bytes(65536), 1)]
)
def test_bad_arguments(label: str, context: bytes | None, length: int) -> None:
    end = Duo().connect().client
    with pytest.raises(InvalidArgument):
        end.export_keying_material(label, context, length)


@pytest.mark.parametrize("label", ["client finished", "server finished", "master secret", "key expansion"])
def test_labels_of_tls_itself(label: str) -> None:
    with pytest.raises(InvalidArgument, match=label):
        connected().client.export_keying_material(label, None, 8)
