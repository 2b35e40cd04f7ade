"""Which texts are names of the local link."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xp2p_trio.mdns import canonical_name, random_name
from xp2p_trio.mdns.names import from_labels
from xp2p_trio.testing import Network

UUID = "6f2a4c1e-1111-4222-8333-444455556666.local"


@pytest.mark.parametrize("text", [UUID, "a.local", "printer-7.local", "-.local", "x" * 63 + ".local"])
def test_one_label_before_local(text: str) -> None:
    assert canonical_name(text) == text
    assert canonical_name(text.upper()) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "local", ".local", "a..local", "a.b.local", "a.local.", "a.local.example", "example.org", "192.0.2.1",
        "a b.local", "a\n.local", "a.local\n", "a_b.local", "x" * 64 + ".local", "zwölf.local", "\u212aelvin.local",
        "a.loca\u0142", "a\0.local", "*.local",
    ],
)  # fmt: skip
def test_nothing_else(text: str) -> None:
    assert canonical_name(text) is None


@given(st.lists(st.sampled_from([b"a", b"local", b"\xff", b"a.b", b"LOCAL", b" ", b"x" * 63]), max_size=3).map(tuple))
def test_labels_are_a_name_only_if_they_are_one_label_of_local(labels: tuple[bytes, ...]) -> None:
    name = from_labels(labels)
    assert (name is not None) == (
        len(labels) == 2 and labels[0] in (b"a", b"local", b"LOCAL", b"x" * 63) and labels[1].lower() == b"local"
    )


@given(st.text(max_size=80))
def test_what_is_canonical_stays_so(text: str) -> None:
    name = canonical_name(text + ".local")
    assert name is None or canonical_name(name) == name


def test_random_names_are_uuids_of_version_4() -> None:
    assert random_name(lambda size: bytes(size)) == "00000000-0000-4000-8000-000000000000.local"
    assert random_name(lambda size: b"\xff" * size) == "ffffffff-ffff-4fff-bfff-ffffffffffff.local"
    source = Network(seed=1).random_bytes("names")
    names = {random_name(source) for _ in range(100)}
    assert len(names) == 100
    assert all(canonical_name(name) == name for name in names)
