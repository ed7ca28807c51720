"""Digests beside a label spare reading it, and are never believed of another content."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from changed_files import edit_and_put_time_back
from numpy.typing import NDArray
from small_studies import write_nifti

from activelabel.annotation.digest_files import digest_file, keep_digests, kept_digests
from activelabel.data.files.state import stamp_of
from activelabel.data.grids import Grid
from activelabel.data.slice_digests import SliceDigests, slice_digests

GRID = Grid((3, 3, 4), np.diag([1.0, 1.0, 2.0, 1.0]))
AXIS = 2


def drawn(index: int, value: int = 1) -> NDArray[np.uint8]:
    array = np.zeros(GRID.shape, np.uint8)
    array[1, 1, index] = value
    return array


@pytest.fixture
def label(tmp_path: Path) -> Path:
    return write_nifti(tmp_path / "label.nii.gz", drawn(1), GRID.affine_ras)


class Reading:
    """Reads a label, and counts how often."""

    def __init__(self, array: NDArray[np.uint8]) -> None:
        self.array = array
        self.count = 0

    def __call__(self) -> NDArray[np.uint8]:
        self.count += 1
        return self.array


def test_a_label_without_digests_is_read_once(label: Path) -> None:
    read = Reading(drawn(1))
    for _ in range(3):
        assert kept_digests(label, GRID, AXIS, read) == slice_digests(drawn(1), AXIS)
    assert read.count == 1
    assert digest_file(label).name == "label.slices"


def test_a_label_whose_digests_were_kept_with_it_is_never_read(label: Path) -> None:
    keep_digests(label, stamp_of(label), GRID, AXIS, slice_digests(drawn(1), AXIS))
    read = Reading(drawn(1))
    assert kept_digests(label, GRID, AXIS, read) == slice_digests(drawn(1), AXIS)
    assert read.count == 0


def replaced(label: Path) -> SliceDigests:
    write_nifti(label, drawn(2, 2), GRID.affine_ras)
    return kept_digests(label, GRID, AXIS, Reading(drawn(2, 2)))


def edited(label: Path) -> SliceDigests:
    edit_and_put_time_back(label)
    return kept_digests(label, GRID, AXIS, Reading(drawn(2, 2)))


def touched(label: Path) -> SliceDigests:
    os.utime(label, ns=(1, 1))
    return kept_digests(label, GRID, AXIS, Reading(drawn(2, 2)))


def sliced_otherwise(label: Path) -> SliceDigests:
    kept_digests(label, GRID, 0, Reading(drawn(2, 2)))
    return kept_digests(label, GRID, AXIS, Reading(drawn(2, 2)))


def on_another_grid(label: Path) -> SliceDigests:
    return kept_digests(label, Grid(GRID.shape, np.diag([2.0, 2.0, 2.0, 1.0])), AXIS, Reading(drawn(2, 2)))


def damaged(label: Path) -> SliceDigests:
    digest_file(label).write_bytes(b'{"format": "activelabel slice di')
    return kept_digests(label, GRID, AXIS, Reading(drawn(2, 2)))


@pytest.mark.parametrize("change", [replaced, edited, touched, sliced_otherwise, on_another_grid, damaged])
def test_digests_of_another_content_are_made_anew(label: Path, change: Callable[[Path], SliceDigests]) -> None:
    keep_digests(label, stamp_of(label), GRID, AXIS, slice_digests(drawn(1), AXIS))
    assert change(label) == slice_digests(drawn(2, 2), AXIS)


def test_digests_that_cannot_be_written_keep_no_label_from_being_read(
    label: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(path: Path, content: bytes, lasting: bool, whole: bool) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("activelabel.annotation.digest_files.write_atomically", fail)
    assert kept_digests(label, GRID, AXIS, Reading(drawn(1))) == slice_digests(drawn(1), AXIS)
    assert "label.slices: cannot be written ([Errno 28] No space left on device)" in caplog.text
