"""The part of a label on which something is drawn, and the values there."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from activelabel.data.labels.arrays import drawn_box, drawn_values, smallest_type

volumes = arrays(np.uint16, (3, 4, 2), elements=st.sampled_from([0, 0, 0, 0, 1, 300]))


@given(values=volumes, order=st.sampled_from("CF"))
def test_the_box_ends_at_the_outermost_drawn_voxels(values: NDArray[np.uint16], order: str) -> None:
    box = drawn_box(values.copy(order))  # type: ignore[arg-type]
    places = np.argwhere(values)
    if len(places):
        lowest, highest = places.min(axis=0), places.max(axis=0)
        assert [(one.start, one.stop) for one in box] == [*zip(lowest, highest + 1, strict=True)]
    else:
        assert values[box].size == 0


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint32, np.float32, np.int64])
@pytest.mark.parametrize("drawn", [[], [1], [7, 3, 3], [100, 1]])
def test_the_values_are_those_that_occur(kind: type, drawn: list[int]) -> None:
    values = np.zeros((4, 4, 4), kind)
    values[1, 2, : len(drawn)] = drawn
    assert drawn_values(values) == sorted(set(drawn))


def test_values_beyond_a_table_and_below_0_occur_too() -> None:
    values = np.zeros((2, 2, 2), np.int32)
    values[0, 0] = [-3, 70000]
    assert drawn_values(values) == [-3, 70000]


@pytest.mark.parametrize(
    ("kind", "highest", "wanted"),
    [(np.uint8, 3, np.uint8), (np.uint16, 300, np.uint16), (np.uint16, 255, np.uint8), (np.uint8, 256, np.uint16)],
)
def test_values_are_copied_only_to_another_type(kind: type, highest: int, wanted: type) -> None:
    values = np.array([[[0, 1], [2, 3]]], kind, order="F")
    smallest = smallest_type(values, highest)
    assert smallest.dtype == wanted
    assert smallest.tolist() == [[[0, 1], [2, 3]]]
    assert np.shares_memory(smallest, values) == (kind is wanted)
