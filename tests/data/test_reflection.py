"""Reflection against numpy's, which reflects as often as the padding needs."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from activelabel.data.reflection import before, reflect_to

sizes = st.tuples(*[st.integers(1, 9)] * 3)


@given(sizes, st.tuples(*[st.integers(1, 40)] * 3))
def test_reflection_equals_numpys_also_if_the_padding_is_larger_than_the_volume(
    size: tuple[int, ...], wanted: tuple[int, ...]
) -> None:
    volume = np.random.default_rng(0).normal(size=(2, *size))
    pairs = [(before(a, b), max(b - a, 0) - before(a, b)) for a, b in zip(size, wanted, strict=True)]

    padded = reflect_to(torch.from_numpy(volume), wanted)

    np.testing.assert_array_equal(padded.numpy(), np.pad(volume, [(0, 0), *pairs], mode="reflect"))


def test_reflection_by_hand() -> None:
    line = torch.tensor([1.0, 2.0, 3.0])
    assert reflect_to(line, (8,)).tolist() == [3, 2, 1, 2, 3, 2, 1, 2]
    assert reflect_to(torch.tensor([7.0]), (4,)).tolist() == [7, 7, 7, 7]
    assert reflect_to(line, (3,)) is line
    assert reflect_to(line, (2,)) is line


def test_reflection_keeps_dtypes_and_leading_axes() -> None:
    batch = torch.arange(12, dtype=torch.int16).view(2, 1, 3, 2)
    padded = reflect_to(batch, (5, 2))
    assert (padded.dtype, padded.shape) == (torch.int16, (2, 1, 5, 2))
    assert padded[0, 0, :, 0].tolist() == [2, 0, 2, 4, 2]
