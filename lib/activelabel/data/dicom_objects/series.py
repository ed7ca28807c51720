"""A DICOM series as one volume, and its conversion to the NIfTI that everything else reads."""

import gzip
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

from activelabel.data.files.writing import write_atomically
from activelabel.data.volumes import Volume, read_volume

_INT16 = np.iinfo(np.int16)


def read_series(folder: Path) -> Volume:
    """Read a folder that holds one series, whose files lie directly in it.

    Raises:
        InvalidInputError: as `read_volume`, or `frames` or `stack` refuses the series.
    """
    return read_volume(folder)


def write_volume(path: Path, volume: Volume) -> None:
    """Write a volume as a compressed NIfTI, completely or not at all; whole numbers as int16 where they fit.

    Raises:
        OSError: the folder is missing, read-only or full.
    """
    _write(path, volume.array, volume.affine_ras)


def write_frames(path: Path, volume: Volume) -> None:
    """Write all channels of a volume as the frames of a compressed NIfTI, in their order. As `write_volume` else."""
    _write(path, np.moveaxis(volume.channels, 0, -1), volume.affine_ras)


def _write(path: Path, voxels: NDArray[np.float32], affine_ras: NDArray[np.float64]) -> None:
    array: NDArray[np.generic] = voxels
    whole = np.array_equal(voxels, np.rint(voxels))
    if whole and voxels.min() >= _INT16.min and voxels.max() <= _INT16.max:
        array = voxels.astype(np.int16)
    image = nibabel.Nifti1Image(array, affine_ras)
    image.header.set_xyzt_units("mm")
    image.set_qform(affine_ras, code="scanner")
    image.set_sform(affine_ras, code="scanner")
    # A CT is large and noise hardly compresses: the fastest level.
    write_atomically(path, gzip.compress(image.to_bytes(), compresslevel=1, mtime=0))
