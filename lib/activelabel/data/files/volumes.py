"""Reading 3D images, with one line on the problem of each unusable image."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from activelabel.data.dicom.frames import read_frames
from activelabel.data.files.opening import Header, finite, open_header, open_voxels, slicer_moves_voxels, unreadable
from activelabel.data.grids import TOLERANCE_VOXELS, Grid
from activelabel.data.segmentations import segments_of
from activelabel.errors import ActiveLabelError, InvalidInputError


@dataclass(frozen=True, eq=False)
class Volume:
    """A 3D image that passed all checks: `array` float32 (W, H, D), finite; `affine_ras` (4, 4); its file or folder.

    `other_affines`: see `Grid`.
    """

    array: NDArray[np.float32]
    affine_ras: NDArray[np.float64]
    path: Path
    other_affines: tuple[NDArray[np.float64], ...] = ()

    @property
    def grid(self) -> Grid:
        """The grid of the voxels."""
        width, height, depth = self.array.shape
        return Grid((width, height, depth), self.affine_ras, self.other_affines)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxels along each axis."""
        return self.grid.spacing_mm


def read_volume(path: Path | str) -> Volume:
    """Read a file with one of `data.files.names.ENDINGS`, or a folder that holds one DICOM series.

    Intensities are those that the header's slope and intercept give, Hounsfield units for CT. Trailing axes of length 1
    (a NIfTI of one time point) are dropped. Voxels have the place that 3D Slicer gives them.

    Raises:
        InvalidInputError: the file is missing, empty, truncated or of another kind; the image is not 3D (an axis of one
            voxel counts as missing: that is a 2D image); a voxel is NaN or infinite; the affine has no inverse, or is
            sheared; it is a segmentation; 3D Slicer could not open it; a series is no regular volume.
    """
    path = Path(path)
    with _of_this_file(path):
        if path.is_dir():
            array, affine_ras = read_frames(path)
            header = Header(array.shape, affine_ras, (), 1, {})
        else:
            array, header = open_voxels(path)
        grid = _checked_grid(path, header)
        return Volume(finite(path, array), grid.affine_ras, path, grid.other_affines)


def read_grid(path: Path | str) -> Grid:
    """The grid of an image from its header alone: the voxels are neither read nor checked.

    Raises:
        InvalidInputError: as `read_volume`, as far as the header shows it.
    """
    path = Path(path)
    with _of_this_file(path):
        return read_volume(path).grid if path.is_dir() else _checked_grid(path, open_header(path))


def _checked_grid(path: Path, header: Header) -> Grid:
    """The grid of an image after the checks that every client can open and annotate it."""
    if segments_of(path.name, header.fields) is not None:
        raise InvalidInputError(
            f"{path.name}: it is a segmentation of 3D Slicer, expected an image: labels belong into labels/final"
        )
    if header.layers != 1:
        raise InvalidInputError(
            f"{path.name}: a voxel has {header.layers} values, expected one: export the image in grey values"
        )
    grid = regular_grid(path, header, smallest=2)
    if slicer_moves_voxels(grid) > (1e-3 if header.not_by_itk else TOLERANCE_VOXELS):
        raise InvalidInputError(
            f"{path.name}: its axes are not at right angles (sheared), and what 3D Slicer draws on it would lie "
            "elsewhere: resample it onto a regular grid"
        )
    if header.not_by_itk is not None:
        raise InvalidInputError(f"{header.not_by_itk} (3D Slicer cannot open it)")
    return grid


def regular_grid(path: Path, header: Header, smallest: int) -> Grid:
    """The grid of a 3D file with at least `smallest` voxels along each axis.

    Raises:
        InvalidInputError: it is not 3D, or its affine has no inverse.
    """
    affine_ras = header.affine_ras
    if len(header.shape) != 3 or min(header.shape) < smallest or affine_ras is None:
        raise InvalidInputError(
            f"{path.name}: the image is {header.size} voxels, expected 3D with at least {smallest} voxels along each "
            "axis: export it as one volume"
        )
    if not np.isfinite(affine_ras).all() or abs(np.linalg.det(affine_ras[:3, :3])) < 1e-9:
        raise InvalidInputError(
            f"{path.name}: the affine has no inverse (voxel axes {affine_ras[:3, :3].round(3).tolist()}), expected "
            "three independent axes with spacing above 0: repair the header"
        )
    width, height, depth = header.shape
    return Grid((width, height, depth), affine_ras, header.other_affines)


@contextmanager
def _of_this_file(path: Path) -> Iterator[None]:
    """A context that turns any error of a reader into one line about the file: a header may hold any number."""
    try:
        yield
    except ActiveLabelError:
        raise
    except Exception as error:  # libraries raise struct.error, OverflowError and others
        raise unreadable(path, error) from error
