from __future__ import annotations

import math

import attrs
import pytest

from xp2p_trio.errors import InvalidArgument
from xp2p_trio.sctp import Association, Configuration


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(Configuration) if field.type != "bool"])
@pytest.mark.parametrize("value", [-1, math.nan])
def test_out_of_range_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(InvalidArgument, match=name):
        Configuration(**{name: value})  # type: ignore[arg-type]


def test_the_packet_size_is_the_sum_that_its_docs_say() -> None:
    assert Configuration().max_packet_size == 1280 - 40 - 8 - 4 - 13 - 24


@pytest.mark.parametrize("wrong", [{"local_port": 0}, {"remote_port": 65536}, {"max_message_size": 2**21}])
def test_association_arguments(wrong: dict[str, int]) -> None:
    with pytest.raises(InvalidArgument, match=next(iter(wrong))):
        Association(Configuration(), random_bytes=bytes, **wrong)
