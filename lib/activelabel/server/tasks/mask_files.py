"""Writes the mask of an inference in the format that the client asks for."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from activelabel.errors import InvalidInputError

EXTENSIONS = (".nii.gz", ".nii", ".nrrd")
DTYPES = ("uint8", "uint16")
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class MaskFormat:
    """File ending, voxel type, and whether an `.nrrd` is compressed (a `.nii.gz` always is)."""

    extension: str
    dtype: str
    compress: bool


def wanted_format(request: Mapping[str, Any]) -> MaskFormat:
    """The format that `result_extension`, `result_dtype` and `result_compress` name; default `.nii.gz` of uint8.

    Raises:
        InvalidInputError: the ending or the type is not supported.
    """
    extension = request.get("result_extension") or ".nii.gz"
    if extension not in EXTENSIONS:
        raise InvalidInputError(f"result_extension {extension!r}: use one of {', '.join(EXTENSIONS)}")
    dtype = request.get("result_dtype") or "uint8"
    if dtype not in DTYPES:
        raise InvalidInputError(f"result_dtype {dtype!r}: use one of {', '.join(DTYPES)}")
    return MaskFormat(extension, dtype, bool(request.get("result_compress")) or extension == ".nii.gz")


def write_mask(
    mask: NDArray[np.uint8] | NDArray[np.uint16], affine_ras: NDArray[np.float64], wanted: MaskFormat
) -> str:
    """Write a mask `(W, H, D)` to a temporary file, which the host removes after sending it.

    The file is in a folder of its own: a client of the host on the same machine saves the received file under the same
    name in the system's temporary folder, where the host would then remove the client's file.
    """
    import SimpleITK as sitk

    # On Windows the folder for temporary files is that of the user already.
    folder = Path(tempfile.gettempdir()) / (f"activelabel-{os.getuid()}" if hasattr(os, "getuid") else "activelabel")
    folder.mkdir(mode=0o700, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, suffix=wanted.extension, delete=False) as file:
        name = file.name
    # As the host's own `write_itk`, but that this takes seconds of a processor once, for ITK's wrapping in Python.
    image = sitk.GetImageFromArray(mask.astype(wanted.dtype).transpose())
    affine_lps = _RAS_TO_LPS @ affine_ras
    spacing = np.linalg.norm(affine_lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((affine_lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(affine_lps[:3, 3].tolist())
    sitk.WriteImage(image, name, useCompression=wanted.compress)
    return name
