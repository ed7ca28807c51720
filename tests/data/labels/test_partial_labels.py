"""Labels of some slices, by hand: the merging of drawings."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from activelabel.data.labels.partial_labels import PartialLabel, merge


def label(*values: int, axis: int = 2) -> NDArray[np.uint8]:
    """Return a label of two by two voxels a slice, each slice filled with its value."""
    array = np.zeros((2, 2, len(values)), np.uint8) + np.array(values, np.uint8)
    return np.moveaxis(array, 2, axis)


def test_merging_drawings_by_hand() -> None:
    before = PartialLabel(label(3, 0, 3, 0, 0), 2, frozenset({0, 1, 2}))
    merged = merge(before, label(1, 1, 1, 1, 1), 2, {2, 4})
    np.testing.assert_array_equal(merged.array, label(3, 0, 1, 0, 1))
    assert merged.slices == {0, 1, 2, 4}
    assert merged.foreground_slices(("ball",)) == 3
    np.testing.assert_array_equal(before.array, label(3, 0, 3, 0, 0))


def test_the_first_drawing_is_empty_on_slices_that_it_does_not_cover() -> None:
    merged = merge(None, label(1, 1, 1), 2, {1})
    np.testing.assert_array_equal(merged.array, label(0, 1, 0))
    assert merged.slices == {1}


drawings = st.lists(
    st.tuples(st.lists(st.integers(0, 3), min_size=5, max_size=5), st.sets(st.integers(0, 4), min_size=1)),
    min_size=1,
    max_size=6,
)


@given(drawings=drawings, axis=st.integers(0, 2))
def test_each_slice_is_as_it_was_drawn_last(drawings: list[tuple[list[int], set[int]]], axis: int) -> None:
    merged, expected = None, {}
    for values, covered in drawings:
        merged = merge(merged, label(*values, axis=axis), axis, covered)
        expected |= {index: values[index] for index in covered}
    assert merged is not None
    assert merged.slices == expected.keys()
    by_slice = np.moveaxis(merged.array, axis, 0)
    for index in range(5):
        assert (by_slice[index] == expected.get(index, 0)).all()
    assert merged.foreground_slices(("ball",)) == sum(value > 0 for value in expected.values())
