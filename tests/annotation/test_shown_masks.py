"""A mask that a model shows is kept once, with the digests of its slices."""

from pathlib import Path

import numpy as np
import pytest
from small_studies import TINY_RECIPE, write_nifti

from activelabel.annotation.digest_files import kept_digests
from activelabel.annotation.shown_masks import keep_shown_mask
from activelabel.data.grids import Grid
from activelabel.data.labels.arrays import LabelArray
from activelabel.data.slice_digests import slice_digests
from activelabel.errors import InvalidInputError
from activelabel.project.models.shown_masks import shown_file
from activelabel.project.opening import open_project
from activelabel.project.project import Project

GRID = Grid((4, 5, 6), np.diag([1.0, 3.0, 1.0, 1.0]))  # acquired in coronal slices


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = open_project(str(tmp_path), str(tmp_path / "studies"), {"recipe": str(TINY_RECIPE), "labels": "ball"})
    project.ledger.sync_images(["a"], 0)
    return project


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    array = np.zeros(GRID.shape, np.uint8)
    array[1:3, 2, 1:3] = 1
    return write_nifti(tmp_path / "mask.nii.gz", array, GRID.affine_ras)


def never() -> LabelArray:
    raise AssertionError("the mask is read again")


@pytest.mark.parametrize("fixed_axis", [None, 2])
def test_the_digests_are_along_the_axis_of_the_image(project: Project, mask: Path, fixed_axis: int | None) -> None:
    if fixed_axis is not None:
        project.ledger.fix_slices("a", fixed_axis, GRID.shape)
    axis = 1 if fixed_axis is None else fixed_axis
    keep_shown_mask(project, "a", 7, mask, lambda: GRID)
    kept = shown_file(project.predictions_folder, "a", 7)
    array = np.zeros(GRID.shape, np.uint8)
    array[1:3, 2, 1:3] = 1
    assert kept_digests(kept, GRID, axis, never) == slice_digests(array, axis)


def test_a_mask_is_kept_once(project: Project, mask: Path) -> None:
    def no_image() -> Grid:
        raise AssertionError("the image is read again")

    keep_shown_mask(project, "a", 7, mask, lambda: GRID)
    keep_shown_mask(project, "a", 7, mask, no_image)


def test_a_mask_on_another_grid_is_refused(project: Project, mask: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"mask.nii.gz: the label is 4x5x6 voxels"):
        keep_shown_mask(project, "a", 7, mask, lambda: Grid((4, 5, 7), GRID.affine_ras))
