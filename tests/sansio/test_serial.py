"""RFC 1982 section 3.2, by definition and by its examples."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xp2p_trio.sansio import serial16_gt, serial16_lt, serial32_gt, serial32_gte, serial32_lt, serial32_lte

U16 = st.integers(0, 2**16 - 1)
U32 = st.integers(0, 2**32 - 1)


@given(U32, st.integers(1, 2**31 - 1))
def test_ahead_by_less_than_half_is_greater(a: int, ahead: int) -> None:
    b = (a + ahead) % 2**32
    assert serial32_lt(a, b)
    assert serial32_lte(a, b)
    assert serial32_gt(b, a)
    assert serial32_gte(b, a)
    assert not serial32_gt(a, b)
    assert not serial32_gte(a, b)
    assert not serial32_lt(b, a)
    assert not serial32_lte(b, a)


@given(U32)
def test_equal_is_neither_ahead_nor_behind(a: int) -> None:
    assert (serial32_lt(a, a), serial32_gt(a, a)) == (False, False)
    assert (serial32_lte(a, a), serial32_gte(a, a)) == (True, True)


@given(U32)
def test_at_exactly_half_neither_is_ahead(a: int) -> None:
    b = (a + 2**31) % 2**32
    assert not any((serial32_lt(a, b), serial32_gt(a, b), serial32_lte(a, b), serial32_gte(a, b)))


@given(U16, U16)
def test_sixteen_bits_by_definition(a: int, b: int) -> None:
    assert serial16_lt(a, b) == ((a < b and b - a < 2**15) or (a > b and a - b > 2**15))
    assert serial16_gt(a, b) == serial16_lt(b, a)


@given(U32, U32)
def test_thirty_two_bits_by_definition(a: int, b: int) -> None:
    assert serial32_lt(a, b) == ((a < b and b - a < 2**31) or (a > b and a - b > 2**31))
    assert serial32_lte(a, b) == (a == b or serial32_lt(a, b))


@pytest.mark.parametrize(("small", "big"), [(0, 1), (2**32 - 1, 0), (2**32 - 5, 3)])
def test_the_numbers_wrap(small: int, big: int) -> None:
    assert serial32_lt(small, big)
    assert serial16_lt(small % 2**16, big % 2**16)
