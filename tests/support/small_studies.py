"""Tiny images, labels and models for tests of servers: whole ones, and ones that are wrong in one way each."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from numpy.typing import NDArray

from activelabel.data.files.image_files import ImageFiles
from activelabel.networks import build_network
from activelabel.recipes import Recipe, load_recipe
from activelabel.training.checkpoints import ModelDescription, save_model

TINY_RECIPE = Path(__file__).with_name("tiny.toml")
SHAPE = (12, 10, 8)
AFFINE_RAS = np.diag([-1.5, -1.5, 2.0, 1.0])  # as most CT is stored: x and y run against RAS


class Studies:
    """The images of a folder, as a strategy asks for them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def image_files(self, image_id: str) -> ImageFiles:
        return ImageFiles(self.folder / f"{image_id}.nii.gz")

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        return {"name": f"{image_id}.nii.gz"}


def write_image(path: Path, seed: int = 0) -> Path:
    """Write an image of noise that every reader accepts."""
    voxels = np.random.default_rng(seed).normal(50, 20, SHAPE).astype(np.float32)
    return write_nifti(path, voxels)


def write_nifti(path: Path, voxels: NDArray[np.generic], affine_ras: NDArray[np.float64] = AFFINE_RAS) -> Path:
    nibabel.save(nibabel.Nifti1Image(voxels, affine_ras), path)
    return path


def boxes(*values: float, dtype: type = np.uint8, shape: tuple[int, int, int] = SHAPE) -> NDArray[np.generic]:
    """Return a label of background with a box of each value, one behind the other along the last axis."""
    label = np.zeros(shape, dtype)
    for place, value in enumerate(values):
        label[2:6, 3:7, 2 * place : 2 * place + 2] = value
    return label


def _with_nan() -> NDArray[np.generic]:
    voxels = np.ones(SHAPE, np.float32)
    voxels[1, 2, 3] = np.nan
    return voxels


def _half(content: bytes) -> bytes:
    return content[: len(content) // 2]


BROKEN: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "flat": lambda path: write_nifti(path, np.ones((12, 10), np.float32)),
    "nan": lambda path: write_nifti(path, _with_nan()),
    "text": lambda path: path.write_text("no image, but a name that ends as if\n"),
    "truncated": lambda path: path.write_bytes(_half(write_image(path).read_bytes())),
    "zipped-text": lambda path: path.write_bytes(gzip.compress(b"no image either")),
}
"""How an image or a label may be unreadable, and what writes such a file."""

REASONS = {
    "empty": "empty",
    "flat": "expected 3D",
    "nan": "NaN",
    "text": "cannot be read",
    "truncated": "cannot be read",
    "zipped-text": "cannot be read",
}
"""A word of the line that says so."""


def write_model(
    path: Path,
    labels: tuple[str, ...],
    recipe: Recipe | None = None,
    change: Callable[[torch.Tensor], torch.Tensor] = torch.clone,
) -> Path:
    """Write an untrained model, of the tiny recipe's network unless another is given."""
    recipe = recipe or load_recipe(str(TINY_RECIPE))
    description = ModelDescription(
        recipe=recipe.name, labels=labels, network=recipe.network, preprocessing=recipe.preprocessing
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_network(recipe.network, description.classes)
    save_model(path, {name: change(weight) for name, weight in network.state_dict().items()}, description)
    return path
