"""A packed label is a gzip that any reader unpacks to the same bytes, wherever its zeros are."""

import gzip
import subprocess

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from activelabel.data.labels.packing import packed_label

PIECE = 2**14
HEAD = bytes(range(256)) + bytes(96)


@given(
    runs=st.lists(st.tuples(st.integers(0, 3), st.sampled_from([1, 7, PIECE - 1, PIECE, 3 * PIECE + 5])), max_size=6),
    shift=st.integers(0, 9),
)
def test_any_runs_of_zeros_and_of_values_come_back(runs: list[tuple[int, int]], shift: int) -> None:
    flat = np.concatenate([np.zeros(shift, np.uint8), *(np.full(length, value, np.uint8) for value, length in runs)])
    array = flat.reshape(-1, 1, 1)
    assert gzip.decompress(packed_label(HEAD, array)) == HEAD + array.tobytes()


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_volume_comes_back_in_the_order_of_nifti(kind: type, order: str) -> None:
    array = np.zeros((64, 48, 96), kind, order=order)  # type: ignore[call-overload]
    array[10:50, 5:9, 3] = np.arange(40)[:, None]
    array[:, :, 60:62] = np.random.default_rng(0).integers(0, 200, (64, 48, 2))
    packed = packed_label(HEAD, array)
    assert gzip.decompress(packed) == HEAD + array.tobytes("F")
    assert packed_label(HEAD, array.copy("C")) == packed


def test_pieces_of_zeros_refer_to_nothing_before_them_and_nothing_after_them_does() -> None:
    """The same values before and behind many zeros: a reference across the zeros would point elsewhere."""
    drawn = np.random.default_rng(1).integers(0, 4, PIECE).astype(np.uint8)
    zeros = np.zeros(200 * PIECE, np.uint8)  # more than are put in as one piece, and no multiple of that
    array = np.concatenate([drawn, zeros, drawn, zeros[: 3 * PIECE], drawn]).reshape(-1, 1, 1)
    packed = packed_label(HEAD, array)
    assert gzip.decompress(packed) == HEAD + array.tobytes()
    assert len(packed) < 3 * PIECE
    done = subprocess.run(["gzip", "-dc"], input=packed, capture_output=True, check=True)  # which checks the length too
    assert done.stdout == HEAD + array.tobytes()
