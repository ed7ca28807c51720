"""Writing the mask that an inference gives back, in the form in which the client wants it."""

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


@dataclass(frozen=True)
class MaskFormat:
    """Ending of the file, type of its voxels, and whether an `.nrrd` is compressed (a `.nii.gz` always is)."""

    extension: str
    dtype: str
    compress: bool


def wanted_format(request: Mapping[str, Any]) -> MaskFormat:
    """What a request's `result_extension`, `result_dtype` and `result_compress` say; default a `.nii.gz` of uint8.

    Raises:
        InvalidInputError: an ending or a type that we do not write.
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
    """Write a mask `(W, H, D)` to a temporary file, which the host removes when it was sent.

    It lies in a folder of its own: the host's client on the same machine saves what it receives under the same name in
    the folder of temporary files, where the host would then remove the client's file instead.
    """
    from monailabel.transform.writer import write_itk  # imports ITK, which takes half a second

    folder = Path(tempfile.gettempdir()) / f"activelabel-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, suffix=wanted.extension, delete=False) as file:
        name = file.name
    write_itk(mask.astype(wanted.dtype), name, affine_ras, None, wanted.compress)
    return name
