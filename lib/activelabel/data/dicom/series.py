"""A DICOM series as one volume, and its conversion to the NIfTI that everything else reads."""

import gzip
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

from activelabel.data.files.volumes import Volume, read_volume
from activelabel.data.files.writing import write_atomically

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
    array: NDArray[np.generic] = volume.array
    whole = np.array_equal(volume.array, np.rint(volume.array))
    if whole and volume.array.min() >= _INT16.min and volume.array.max() <= _INT16.max:
        array = volume.array.astype(np.int16)
    image = nibabel.Nifti1Image(array, volume.affine_ras)
    image.header.set_xyzt_units("mm")
    image.set_qform(volume.affine_ras, code="scanner")
    image.set_sform(volume.affine_ras, code="scanner")
    # A CT is large and noise hardly compresses: the fastest level.
    write_atomically(path, gzip.compress(image.to_bytes(), compresslevel=1, mtime=0))
