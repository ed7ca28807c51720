"""Reads weights that come from elsewhere: a model or bundle of this app, a bundle of others, a file of weights.

No code in a file is ever run: files of torch are read with `weights_only`, and no bundle is run.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from activelabel.errors import InvalidInputError
from activelabel.exchange.bundle_configs import BUNDLED
from activelabel.names import MODEL_ENDING
from activelabel.training.checkpoints import ModelDescription, described, stored_description

TORCH_ENDINGS = (".pt", ".pth", ".ckpt", ".bin")
NESTED = ("state_dict", "model_state_dict", "network_weights", "network", "model", "net", "encoder")
"""Keys under which programs keep the weights in a checkpoint, beside other things."""
_LEVELS = 4  # a checkpoint may hold itself


@dataclass(frozen=True)
class FoundWeights:
    """Weights as a file or a bundle has them.

    Attributes:
        source: the name of the file or folder.
        weights: the weights by name.
        description: the model that they are; None if this app did not write the file.
    """

    source: str
    weights: Mapping[str, Tensor]
    description: ModelDescription | None


def read_weights(path: Path) -> FoundWeights:
    """The weights in a file, or in the folder of a MONAI bundle.

    Raises:
        InvalidInputError: there is no such file, it holds no weights, or reading it would run code in it.
    """
    if path.is_dir():
        return _bundle(path)
    if not path.is_file():
        raise InvalidInputError(f"{path}: there is no such file: expected {_expected()}")
    if path.name.endswith(MODEL_ENDING):
        return FoundWeights(path.name, _safetensors(path), stored_description(path))
    if path.name.endswith(TORCH_ENDINGS):
        return FoundWeights(path.name, _torch_weights(path), None)
    raise InvalidInputError(f"{path.name}: is no file of weights: expected {_expected()}")


def _expected() -> str:
    return f"a {MODEL_ENDING} file, weights of torch ({', '.join(TORCH_ENDINGS)}), or the folder of a MONAI bundle"


def _bundle(folder: Path) -> FoundWeights:
    weights, configuration = folder / "models" / "model.pt", folder / "configs" / "metadata.json"
    for file in (weights, configuration):
        if not file.is_file():
            raise InvalidInputError(
                f"{folder.name}: has no {file.relative_to(folder)}, so it is no MONAI bundle: expected {_expected()}"
            )
    try:
        metadata = json.loads(configuration.read_text(encoding="utf-8"))
        own = metadata.get(BUNDLED)
        description = None if own is None else described(configuration, own["description"])
    except (OSError, ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise InvalidInputError(f"{folder.name}: configs/metadata.json is no metadata of a bundle: {error}") from error
    return FoundWeights(folder.name, _torch_weights(weights), description)


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise InvalidInputError(f"{path.name}: cannot be read as weights ({error}): get it again") from error


def _torch_weights(path: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling may raise anything
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise InvalidInputError(
            f"{path.name}: cannot be read as plain weights ({lines[0][:160]}): it is damaged, or holds more than "
            "weights, and code in a file is not run: save only the state_dict"
        ) from error
    weights = _state_dict(content)
    if not weights:
        raise InvalidInputError(f"{path.name}: holds no weights: expected a state_dict, names and tensors")
    return weights


def _state_dict(content: Any, levels: int = _LEVELS) -> dict[str, Tensor]:
    """The names and tensors of a checkpoint, `levels` dictionaries deep at most; empty if it has none."""
    if not isinstance(content, Mapping) or not levels:
        return {}
    tensors = {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}
    if tensors:
        return tensors
    return next((found for key in NESTED if (found := _state_dict(content.get(key), levels - 1))), {})
