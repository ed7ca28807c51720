"""A DICOM series as one volume: whether its slices make one, and the NIfTI that everything else reads."""

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from activelabel.data.files import write_atomically
from activelabel.data.volumes import Volume, read_volume
from activelabel.errors import InvalidInputError

POSITION_TOLERANCE_MM = 0.1
"""How far a slice may lie from where even spacing puts it. Scanners round positions to hundredths of a millimetre."""

_GEOMETRY = ["ImagePositionPatient", "ImageOrientationPatient", "Rows", "Columns"]
_INT16 = np.iinfo(np.int16)


def read_series(folder: Path) -> Volume:
    """Read a folder that holds one series, whose files lie directly in it.

    Raises:
        InvalidInputError: as `read_volume`; or its slices differ in size or direction, lie unevenly (one is missing or
            twice there, or the gantry was tilted), so that no regular grid holds them.
    """
    _check_slices(folder)
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


def _check_slices(folder: Path) -> None:
    slices = [_read_geometry(path) for path in sorted(folder.iterdir())]
    if len(slices) < 2:
        return  # one file may hold a whole volume; if it does not, reading says so
    for name in ("Rows", "Columns", "ImageOrientationPatient"):
        values = {str(header.get(name)) for header in slices}
        if len(values) > 1:
            raise InvalidInputError(
                f"series {folder.name}: {name} differs between slices ({', '.join(sorted(values)[:2])}), expected one "
                "volume: send its parts as series of their own"
            )
    if any(header.get("ImagePositionPatient") is None for header in slices):
        return  # a series of files with several frames each; reading judges it
    positions = np.array([header.ImagePositionPatient for header in slices], dtype=np.float64)
    off_mm = unevenness_mm(positions, np.array(slices[0].ImageOrientationPatient, dtype=np.float64))
    if off_mm > POSITION_TOLERANCE_MM:
        raise InvalidInputError(
            f"series {folder.name}: a slice lies {off_mm:.3g} mm from where even spacing puts it, expected less than "
            f"{POSITION_TOLERANCE_MM} mm: one is missing or there twice, or the gantry was tilted"
        )


def unevenness_mm(positions_mm: NDArray[np.float64], orientation: NDArray[np.float64]) -> float:
    """How far any slice lies from the nearest arrangement with even distances along the slice normal.

    Args:
        positions_mm: (N, 3), N ≥ 2, corners of the slices in any order.
        orientation: (6,), directions of a slice's rows and columns.

    Returns:
        The largest distance between a slice and its place between the first and the last slice; infinite where two
        slices lie at one place.
    """
    normal = np.cross(orientation[:3], orientation[3:])
    heights = positions_mm @ normal
    order = np.argsort(heights)
    heights, positions_mm = heights[order], positions_mm[order]
    if np.diff(heights).min() < 1e-3:
        return float("inf")
    share = np.linspace(0, 1, len(heights))[:, None]
    places = positions_mm[0] + share * (heights[-1] - heights[0]) * normal
    return float(np.linalg.norm(positions_mm - places, axis=1).max())


def _read_geometry(path: Path) -> Dataset:
    try:
        return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_GEOMETRY)
    except (InvalidDicomError, EOFError, OSError, ValueError) as error:
        raise InvalidInputError(f"{path.name}: cannot be read as DICOM ({error}): send the series again") from error
