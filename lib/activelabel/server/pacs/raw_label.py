"""Labels as OHIF sends them: raw voxels without a header."""

from pathlib import Path

import numpy as np

from activelabel.data.grids import Grid
from activelabel.data.label_checking import write_label
from activelabel.errors import InvalidInputError


def nifti_of_raw(file: Path, grid: Grid, folder: Path) -> Path:
    """A NIfTI file in `folder` of OHIF's labelmap, one byte per voxel in the image's storage order.

    Raises:
        InvalidInputError: the file does not have as many bytes as the grid has voxels.
    """
    voxels = np.fromfile(file, dtype=np.uint8)
    if voxels.size != np.prod(grid.shape):
        raise InvalidInputError(
            f"{file.name}: {voxels.size} bytes, expected one for each of the image's "
            f"{'x'.join(map(str, grid.shape))} voxels"
        )
    path = folder / f"{file.stem}.nii.gz"
    write_label(path, voxels.reshape(grid.shape, order="F"), grid.affine_ras)
    return path
