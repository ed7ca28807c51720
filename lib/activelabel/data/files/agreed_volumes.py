"""NIfTI files that leave no choice: every reader puts their voxels at the same place, and gives them the same values.

ITK, 3D Slicer and this project itself write such files. What libraries make of them need not be asked of libraries,
which takes longer than all other reading of a small label.
"""

import math
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from activelabel.data.grids import has_inverse

_LENGTH, _START, _EXTENDER = 348, 352, bytes(4)
_NUMBERS = {
    number: np.dtype(name)
    for number, name in (
        *((2, "u1"), (4, "<i2"), (8, "<i4"), (16, "<f4"), (64, "<f8")),
        *((256, "i1"), (512, "<u2"), (768, "<u4"), (1024, "<i8"), (1280, "<u8")),
    )
}
"""The types of numbers by their code (nifti1.h)."""
_MILLIMETRES = (0, 2)  # by default, or said
_FORMS = (1, 2, 3, 4)
_SINGLE_PRECISION = 1.2e-7
_CLOSE_VOXELS = 5e-4
"""Half of the distance at which the places of two readers count as the same (`data.files.opening`)."""


def agreed_volume(content: bytes | memoryview) -> tuple[NDArray[Any], NDArray[np.float64]] | None:
    """The voxels (W, H, D) and the affine (RAS) of an unpacked NIfTI file; None if readers may disagree about either.

    The voxels are a view of `content`, of the type that the file has.

    The header must say one place only, at right angles, in millimetres: by three rows (sform), and not otherwise by a
    rotation (qform), with the spacing of the affine. The voxels must all be there, as numbers without a scale. Nothing
    else may be there that a reader has to interpret. Voxels that are NaN or infinite stay so, as nibabel gives them;
    ITK reads them as 0: `data.files.opening.finite` refuses them.
    """
    affine = _agreed_affine(bytes(content[:_START]))
    if affine is None:
        return None
    dims, (kind,) = struct.unpack_from("<4h", content, 40), struct.unpack_from("<h", content, 70)
    shape, numbers = dims[1:], _NUMBERS[kind]
    count = math.prod(shape)
    if len(content) < _START + count * numbers.itemsize:
        return None
    voxels = np.frombuffer(content, numbers, count, _START)
    return voxels.reshape(shape, order="F"), affine


def _agreed_affine(head: bytes) -> NDArray[np.float64] | None:
    """The affine of a header about which all readers agree."""
    if len(head) < _START or struct.unpack_from("<i", head) != (_LENGTH,) or head[344:] != b"n+1\0" + _EXTENDER:
        return None
    dims, pixdim = struct.unpack_from("<4h", head, 40), struct.unpack_from("<4f", head, 76)
    if not _is_plain(head, dims) or not all(map(math.isfinite, pixdim)):
        return None
    affine = np.eye(4)
    affine[:3] = np.reshape(struct.unpack_from("<12f", head, 280), (3, 4))
    if not has_inverse(affine):
        return None
    spacing_mm, shape = np.sqrt((affine[:3, :3] ** 2).sum(axis=0)), np.array(dims[1:])
    cosines = affine[:3, :3] / spacing_mm
    moves_mm = (
        _furthest(_SINGLE_PRECISION * affine, shape),
        np.abs(cosines.T @ cosines - np.eye(3)).max() * (shape * spacing_mm).sum(),
        (np.abs(np.array(pixdim[1:]) - spacing_mm) * shape).sum(),  # large if a length is negative
        _furthest(_by_rotation(head, pixdim) - affine, shape) if struct.unpack_from("<h", head, 252) != (0,) else 0.0,
    )
    return affine if np.max(moves_mm) <= _CLOSE_VOXELS * spacing_mm.min() else None


def _is_plain(head: bytes, dims: tuple[int, ...]) -> bool:
    """Whether it is a volume of numbers in millimetres, with an sform, and without anything to interpret."""
    intent, kind = struct.unpack_from("<2h", head, 68)
    start, slope, intercept = struct.unpack_from("<3f", head, 108)
    qform, sform = struct.unpack_from("<2h", head, 252)
    return (
        dims[0] == 3
        and min(dims[1:]) > 1
        and (intent, start) == (0, _START)
        and kind in _NUMBERS
        and ((slope, intercept) == (1, 0) or (_is_unset(slope) and _is_unset(intercept)))
        and head[123] & 7 in _MILLIMETRES
        and sform in _FORMS
        and qform in (0, *_FORMS)
    )


def _is_unset(number: float) -> bool:
    """Whether a part of a scale says nothing. ITK adds an intercept also where the slope says nothing."""
    return number == 0 or not math.isfinite(number)


def _furthest(affine: NDArray[np.float64], shape: NDArray[np.int_]) -> float:
    """At most so far, in millimetres, an affine moves any voxel along an axis; infinite for what is no number."""
    return float(np.nan_to_num(np.abs(affine[:3]) @ [*shape, 1.0], nan=np.inf).max())


def _by_rotation(head: bytes, pixdim: tuple[float, ...]) -> NDArray[np.float64]:
    """The affine by quaternion, spacing and offset (nifti1.h, method 2)."""
    b, c, d, *offset = struct.unpack_from("<6f", head, 256)
    a = max(0.0, 1.0 - (b * b + c * c + d * d)) ** 0.5
    rotation = [
        [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
        [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
        [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
    ]
    affine = np.eye(4)
    affine[:3, :3] = np.array(rotation) * pixdim[1:] * (1, 1, -1 if pixdim[0] < 0 else 1)
    affine[:3, 3] = offset
    return affine
