"""Every fuzz target, run on its seeds and on what Hypothesis thinks up."""

from __future__ import annotations

import importlib
import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.harness import Target, limited

FUZZ = pathlib.Path(__file__).parents[2] / "fuzz"
NAMES = sorted(path.stem for path in FUZZ.glob("fuzz_*.py"))


def target(name: str) -> Target:
    return limited(importlib.import_module(f"fuzz.{name}").test_one_input)


def seeds(name: str) -> list[bytes]:
    door = name.removeprefix("fuzz_")
    return [path.read_bytes() for path in sorted((FUZZ / "corpus" / door).glob("*")) if path.is_file()]


@pytest.mark.parametrize("name", NAMES)
def test_target_survives_anything(name: str) -> None:
    run = target(name)

    @given(st.binary(max_size=2000))
    def survives(data: bytes) -> None:
        run(data)

    survives()


@pytest.mark.parametrize("name", NAMES)
def test_target_survives_its_seeds(name: str) -> None:
    run = target(name)
    for data in [b"", *seeds(name)]:
        run(data)


@pytest.mark.parametrize("name", [name for name in NAMES if seeds(name)])
def test_target_survives_mutated_seeds(name: str) -> None:
    run = target(name)

    @given(data=st.data())
    def survives(data: st.DataObject) -> None:
        seed = bytearray(data.draw(st.sampled_from(seeds(name))))
        for position, value in data.draw(
            st.lists(st.tuples(st.integers(0, len(seed)), st.integers(0, 255)), max_size=8)
        ):
            seed[position : position + 1] = bytes([value])
        run(bytes(seed[: data.draw(st.integers(0, len(seed)))]))

    survives()
