"""Digests tell which slices of two labels are equal, as a comparison of their voxels does."""

import hashlib
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from activelabel.data.slice_digests import EMPTY, differing, drawn_on, slice_digests
from activelabel.data.slices import differing_slices

labels = arrays(np.uint8, (2, 3, 2), elements=st.integers(0, 1))


@given(first=labels, second=labels, axis=st.integers(0, 2))
def test_the_slices_that_differ_are_those_whose_voxels_differ(first: np.ndarray, second: np.ndarray, axis: int) -> None:
    digests, others = slice_digests(first, axis), slice_digests(second, axis)
    assert differing(digests, others) == differing_slices(first, second, axis)
    assert drawn_on(digests) == differing_slices(first, 0, axis)


def test_a_slice_without_a_drawing_is_empty() -> None:
    array = np.zeros((2, 2, 3), np.uint8)
    array[0, 1, 1] = 4
    first, second, third = slice_digests(array, 2)
    assert (first, third) == (EMPTY, EMPTY)
    assert second != EMPTY


def test_digests_do_not_depend_on_the_type_of_the_values() -> None:
    array = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
    assert slice_digests(array, 1) == slice_digests(array.astype(np.uint16), 1)


def test_labels_with_different_numbers_of_slices_are_not_compared() -> None:
    with pytest.raises(ValueError, match="zip"):
        differing(("a",), ("a", "b"))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_digests_are_those_of_each_slice_whatever_the_order_in_memory(axis: int, kind: type) -> None:
    drawn = np.random.default_rng(0).integers(0, 3, (5, 4, 3)).astype(kind)
    expected = tuple(
        hashlib.blake2b(drawn.take(index, axis).astype("<u2").tobytes(), digest_size=16).hexdigest()
        for index in range(drawn.shape[axis])
    )

    assert slice_digests(drawn, axis) == expected
    assert slice_digests(np.asfortranarray(drawn), axis) == expected


def test_no_digest_of_a_slice_copies_the_whole_label() -> None:
    drawn = np.ones((64, 64, 64), np.uint16, order="F")
    tracemalloc.start()
    try:
        slice_digests(drawn, 2)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most < drawn.nbytes * 0.75  # one byte a voxel, which says where it is drawn; and a slice
