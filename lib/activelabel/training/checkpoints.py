"""Files of published models: written once and completely, read without running any code that they might hold."""

import hashlib
import io
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import nn

from activelabel.data.files import write_atomically
from activelabel.errors import InvalidInputError
from activelabel.networks import build_network
from activelabel.recipes import NetworkSettings, PreprocessingSettings, first_problem

FORMAT = "activelabel model 1"


class ModelDescription(BaseModel):
    """What must be known to use a model's weights. `labels` belong to the values 1..N, background is not among them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: str
    labels: tuple[str, ...]
    network: NetworkSettings
    preprocessing: PreprocessingSettings

    @property
    def classes(self) -> int:
        """Channels of the network's output, background included."""
        return len(self.labels) + 1


def save_model(path: Path, weights: Mapping[str, torch.Tensor], description: ModelDescription) -> str:
    """Write a model version at `path`, at once or not at all, and return the SHA-256 of the file.

    Raises:
        FileExistsError: there is a file already; a version never changes.
        OSError: the folder is missing, read-only or full.
    """
    if path.exists():
        raise FileExistsError(f"{path.name} exists already, and a model version never changes")
    buffer = io.BytesIO()
    content = {
        "format": FORMAT,
        "description": description.model_dump(mode="json"),
        "weights": {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()},
    }
    torch.save(content, buffer)
    write_atomically(path, buffer.getvalue())
    return hashlib.sha256(buffer.getbuffer()).hexdigest()


def load_model(path: Path, expected: ModelDescription, sha256: str | None = None) -> nn.Module:
    """The network of the model version at `path`, on the CPU and in evaluation mode.

    Args:
        path: a file of `save_model`.
        expected: what the app is set up for; its recipe's name is not compared.
        sha256: of the file as it was published, to be compared.

    Raises:
        InvalidInputError: there is no such file; it is no model of this app or was changed; it was trained for other
            labels, another network or another preprocessing than expected.
    """
    content = _read(path, sha256)
    _compare(path, _description(path, content), expected)
    network = build_network(expected.network, expected.classes)
    try:
        network.load_state_dict(content.get("weights", {}))
    except (RuntimeError, TypeError, AttributeError) as error:
        raise InvalidInputError(
            f"model {path.name}: its weights do not fit the network it names: train a new model"
        ) from error
    return network.eval()


def open_model(path: Path) -> tuple[nn.Module, ModelDescription]:
    """The network of any model version, as `load_model` gives it, and what it was trained for.

    Raises:
        InvalidInputError: there is no such file, or it is no model of this app.
    """
    description = _description(path, _read(path, None))
    return load_model(path, description), description


def _read(path: Path, sha256: str | None) -> dict[str, Any]:
    if not path.is_file():
        raise InvalidInputError(f"model {path.name}: there is no such file: train a model, or put the file back")
    raw = path.read_bytes()
    if sha256 is not None and hashlib.sha256(raw).hexdigest() != sha256:
        raise InvalidInputError(
            f"model {path.name}: the file is not the one that was published (its SHA-256 differs): put that one back, "
            "or train a new model"
        )
    if not zipfile.is_zipfile(io.BytesIO(raw)):  # The only form that `torch.save` writes.
        raise _no_model(path)
    try:
        content = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, OSError, KeyError, EOFError) as error:
        raise _no_model(path) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise _no_model(path)
    return content


def _no_model(path: Path) -> InvalidInputError:
    return InvalidInputError(
        f"model {path.name}: the file is no model of this app (expected '{FORMAT}'): use one that its training "
        "published"
    )


def _description(path: Path, content: Mapping[str, Any]) -> ModelDescription:
    try:
        return ModelDescription.model_validate(content.get("description"))
    except ValidationError as error:
        raise InvalidInputError(f"model {path.name}: {first_problem(error)}: train a new model") from error


def _compare(path: Path, found: ModelDescription, expected: ModelDescription) -> None:
    pairs = {"labels": (found.labels, expected.labels)}
    for section in ("network", "preprocessing"):
        wanted = getattr(expected, section).model_dump()
        pairs |= {f"{section}.{key}": (value, wanted[key]) for key, value in getattr(found, section)}
    if "auto" in pairs["preprocessing.intensity"]:  # An older model's images each decided that for themselves.
        del pairs["preprocessing.intensity"]
    if not expected.preprocessing.slices_last:  # The plane of the slices then makes no difference to the network.
        del pairs["preprocessing.slice_plane"]
    for name, (value, wanted) in pairs.items():
        if value != wanted:
            raise InvalidInputError(
                f"model {path.name}: it was trained with {name} {_text(value)}, expected {_text(wanted)}: start the "
                "app with the settings of that training, or train a new model"
            )


def _text(value: object) -> str:
    return ", ".join(str(part) for part in value) if isinstance(value, tuple) else str(value)
