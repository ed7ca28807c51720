"""Features of the images in the project folder, as a model computes them: one file per model version."""

import io
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from activelabel.data.files.writing import write_atomically
from activelabel.errors import InvalidInputError

Features = dict[str, NDArray[np.float32]]
"""For each image a vector (F,), or one for each of its slices (S, F)."""


def features_file(folder: Path, model_version: int, of_slices: bool = False) -> Path:
    """The path of the features of a model version."""
    return folder / f"model_{model_version}{'_slices' if of_slices else ''}.npz"


def write_features(path: Path, features: Mapping[str, NDArray[np.float32]]) -> None:
    """Write the vectors of all images to `path`, completely or not at all: all of shape (F,), or all (S, F).

    Raises:
        OSError: the folder is read-only or full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = sorted(features)
    arrays = {"ids": np.array(ids)}
    if features[ids[0]].ndim == 1:
        arrays["features"] = np.stack([features[image_id] for image_id in ids])
    else:  # stacked along the first axis, because images have different numbers of slices
        arrays["features"] = np.concatenate([features[image_id] for image_id in ids])
        arrays["slices"] = np.array([len(features[image_id]) for image_id in ids])
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    write_atomically(path, buffer.getvalue())


def forget_features(folder: Path, gone: Collection[str]) -> None:
    """Remove the vectors of images that are gone from the files of all models.

    Raises:
        InvalidInputError: `write_features` did not write a file.
        OSError: the folder is read-only or full.
    """
    for file in sorted(folder.glob("model_*.npz")):
        features = read_features(file)
        left = {image_id: vectors for image_id, vectors in features.items() if image_id not in gone}
        if not left:
            file.unlink(missing_ok=True)
        elif len(left) < len(features):
            write_features(file, left)


def read_features(path: Path) -> Features:
    """The vectors of each image, by id; empty if there is no such file yet.

    Raises:
        InvalidInputError: `write_features` did not write the file.
    """
    if not path.is_file():
        return {}
    try:
        with np.load(path, allow_pickle=False) as content:
            features = content["features"]
            if "slices" in content:
                features = np.split(features, np.cumsum(content["slices"])[:-1])
            return dict(zip(content["ids"].tolist(), features, strict=True))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InvalidInputError(
            f"{path.name}: cannot be read as features of images ({error}): delete it, and score again"
        ) from error
