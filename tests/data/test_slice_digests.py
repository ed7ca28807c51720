"""Digests tell which slices of two labels are equal, as a comparison of their voxels does."""

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
    digests = slice_digests(drawn, axis)
    assert digests == slice_digests(np.asfortranarray(drawn), axis)
    assert digests == slice_digests(drawn[::-1][::-1].astype(np.uint16), axis)
    for index, digest in enumerate(digests):  # alone in its label, a slice has the same digest
        alone = np.zeros_like(drawn)
        np.moveaxis(alone, axis, 0)[index] = drawn.take(index, axis)
        assert slice_digests(alone, axis)[index] == digest


def test_the_same_drawing_elsewhere_on_a_slice_and_the_same_bytes_of_another_shape_differ() -> None:
    slices = np.zeros((5, 6, 6, 2), np.uint8)
    slices[0, 1:3, 1:3, 0] = 1
    slices[1, 2:4, 1:3, 0] = 1
    slices[2, 1:3, 2:4, 0] = 1
    slices[3, 1:5, 1:2, 0] = 1  # four voxels too
    slices[4, 1:2, 1:5, 0] = 1
    assert len({slice_digests(one, 2)[0] for one in slices}) == 5


def test_values_that_differ_in_the_second_byte_differ() -> None:
    values = np.array([1, 257, 513], np.uint16)
    assert len({slice_digests(np.full((2, 2, 1), value, np.uint16), 2) for value in values}) == 3


def test_no_digest_of_a_slice_copies_the_whole_label() -> None:
    drawn = np.ones((64, 64, 64), np.uint16, order="F")
    tracemalloc.start()
    try:
        slice_digests(drawn, 2)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most < drawn.nbytes * 0.75  # one byte a voxel, which says where it is drawn; and a slice
