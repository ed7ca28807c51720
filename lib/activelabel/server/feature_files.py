"""Features of the images in the project folder: what a proxy model sees in each, one file a model version."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from activelabel.data.files import write_atomically
from activelabel.errors import InvalidInputError

Features = dict[str, NDArray[np.float32]]


def features_file(folder: Path, model_version: int) -> Path:
    """Where the features of a model version are."""
    return folder / f"model_{model_version}.npz"


def write_features(path: Path, features: Mapping[str, NDArray[np.float32]]) -> None:
    """Write a vector (F,) for each image at `path`, completely or not at all.

    Raises:
        OSError: the folder is read-only or full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = sorted(features)
    buffer = io.BytesIO()
    np.savez(buffer, ids=np.array(ids), features=np.stack([features[image_id] for image_id in ids]))
    write_atomically(path, buffer.getvalue())


def read_features(path: Path) -> Features:
    """The vector of each image, by id; nothing where there is no such file yet.

    Raises:
        InvalidInputError: the file is none of `write_features`.
    """
    if not path.is_file():
        return {}
    try:
        with np.load(path, allow_pickle=False) as content:
            return dict(zip(content["ids"].tolist(), content["features"], strict=True))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InvalidInputError(
            f"{path.name}: cannot be read as features of images ({error}): delete it, and score with POST "
            "/scoring/proxy"
        ) from error
