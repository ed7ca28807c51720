"""The file of a prepared image: memory-mapped safetensors with its key, both grids and a checksum in its metadata.

The key, from what and how it was prepared, is the file's name too: a copied or renamed file is no other image.
"""

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from activelabel.data.files.writing import unfinished_file
from activelabel.data.grids import Grid
from activelabel.data.preprocessing import PreparedImage
from activelabel.errors import InvalidInputError

ENDING = ".safetensors"
_IMAGE, _ABOUT = "image", "activelabel"


def write_prepared(path: Path, image: PreparedImage) -> None:
    """Put a prepared image at `path`, completely or not at all.

    It is not forced to the disk: after a power cut its checksum tells whether it is whole.

    Raises:
        OSError: the folder is full, or cannot be written.
    """
    tensor = image.tensor.contiguous()
    about = {
        "key": path.stem,
        "grid": _as_json(image.grid),
        "original": _as_json(image.original),
        "crc32": _checksum(tensor),
    }
    unfinished = unfinished_file(path)
    try:
        with unfinished.open("xb") as file:  # with the rights of all files here; the library has its own ideas
            file.write(save({_IMAGE: tensor}, {_ABOUT: json.dumps(about)}))
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def open_prepared(path: Path) -> PreparedImage:
    """Map the prepared image at `path` into memory; it stays readable when the file is removed.

    Raises:
        FileNotFoundError: there is none.
        InvalidInputError: the file is damaged, or has the name of another.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()[_ABOUT])
            tensor: torch.Tensor = file.get_tensor(_IMAGE)
        grid, original = _from_json(about["grid"]), _from_json(about["original"])
        checksum, key = about["crc32"], about.get("key")
    except FileNotFoundError:
        raise
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInputError(f"{path.name}: no prepared image ({' '.join(str(error).split())[:200]})") from error
    if key != path.stem:
        raise InvalidInputError(f"{path.name}: it was written under another name, so it may be of another image")
    if tensor.dtype != torch.float32 or tensor.shape[1:] != grid.shape or _checksum(tensor) != checksum:
        raise InvalidInputError(f"{path.name}: its content is not as it was written")
    return PreparedImage(tensor, grid, original)


def _checksum(tensor: torch.Tensor) -> int:
    return zlib.crc32(tensor.numpy().reshape(-1).view(np.uint8).data)


def _as_json(grid: Grid) -> dict[str, Any]:
    others = [affine.tolist() for affine in grid.other_affines]
    return {"shape": grid.shape, "affine_ras": grid.affine_ras.tolist(), "other_affines": others}


def _from_json(fields: dict[str, Any]) -> Grid:
    width, height, depth = fields["shape"]
    others = tuple(np.array(affine, dtype=np.float64) for affine in fields["other_affines"])
    return Grid((width, height, depth), np.array(fields["affine_ras"], dtype=np.float64), others)
