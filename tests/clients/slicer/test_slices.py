"""Slices and their positions, as the module counts them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ActiveLabelLib.server.answers import Places
from ActiveLabelLib.session.slices import in_words, index_at, next_slice, position_mm

UPWARDS = Places(2, "axial", "S", -12.0, 2.5, 48)
DOWNWARDS = Places(2, "axial", "S", 100.0, -3.0, 10)


def test_positions_by_hand() -> None:
    assert [position_mm(UPWARDS, index) for index in (0, 1, 4)] == [-12.0, -9.5, -2.0]
    assert [position_mm(DOWNWARDS, index) for index in (0, 9)] == [100.0, 73.0]
    assert [index_at(DOWNWARDS, position) for position in (100.0, 98.6, 98.4, 500.0, -500.0)] == [0, 0, 1, 0, 9]


@given(
    first=st.floats(-500, 500), step=st.floats(0.2, 8).flatmap(lambda size: st.sampled_from([size, -size])),
    index=st.integers(0, 399),
)  # fmt: skip
def test_each_slice_is_found_at_its_own_position(first: float, step: float, index: int) -> None:
    places = Places(0, "sagittal", "L", first, step, 400)
    assert index_at(places, position_mm(places, index)) == index


@pytest.mark.parametrize(
    ("at", "step", "expected"),
    [(10, 1, 20), (10, -1, 3), (11, 1, 20), (11, -1, 10), (20, 1, 3), (3, -1, 20), (47, 1, 3), (0, -1, 20)],
)
def test_the_next_asked_slice_lies_further_on_and_the_first_follows_the_last(at: int, step: int, expected: int) -> None:
    assert next_slice(UPWARDS, (20, 3, 10), position_mm(UPWARDS, at), step) == expected


def test_the_next_slice_goes_by_position_where_indices_fall_with_it() -> None:
    assert next_slice(DOWNWARDS, (2, 7), position_mm(DOWNWARDS, 5), 1) == 2
    assert next_slice(DOWNWARDS, (2, 7), position_mm(DOWNWARDS, 5), -1) == 7
    assert next_slice(DOWNWARDS, (), 0.0, 1) is None


def test_slices_in_words_are_counted_from_1() -> None:
    assert in_words([9, 2, 7, 8]) == "3, 8-10"
    assert in_words([]) == ""
