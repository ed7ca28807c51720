"""Model files of earlier versions, which are pickles: read once, from a project's own folder, and written anew.

No other code reads a pickle as a model, and no file from a client is ever read here.
"""

import hashlib
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from activelabel.errors import InvalidInputError
from activelabel.training.checkpoints import described, model_bytes

ENDING = ".pt"
_FORMAT = "activelabel model 1"


def read_older_model(path: Path, sha256: str) -> bytes:
    """The same model as the bytes of a current model file; the same file always gives the same bytes.

    Args:
        path: a model file of the project.
        sha256: the SHA-256 of the published file; a file with another one is not unpacked.

    Raises:
        InvalidInputError: the file has changed since, or is no model.
    """
    raw = path.read_bytes()
    if hashlib.sha256(raw).hexdigest() != sha256:
        raise InvalidInputError(f"model {path.name}: the file is not the one that was published (its SHA-256 differs)")
    content = _content(path, raw)
    return model_bytes(content["weights"], described(path, content.get("description")))


def _content(path: Path, raw: bytes) -> dict[str, Any]:
    problem = InvalidInputError(f"model {path.name}: the file is no model of an earlier version ('{_FORMAT}')")
    if not zipfile.is_zipfile(io.BytesIO(raw)):  # The only form that `torch.save` writes.
        raise problem
    try:
        content = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, OSError, KeyError, EOFError) as error:
        raise problem from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise problem
    weights = content.get("weights")
    if not isinstance(weights, dict) or not all(isinstance(weight, torch.Tensor) for weight in weights.values()):
        raise problem
    return content
