"""Files of published models, as safetensors: each is written once and completely, and no code in it is ever run.

A file holds the weights unchanged, and their description in its metadata. The header is read first, and compared with
the expected network before any weight is read.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, PlainSerializer, PlainValidator, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from activelabel.data.files.writing import write_atomically
from activelabel.data.labels.label_map import LabelMap, label_map_of
from activelabel.data.labels.label_texts import entries_of, read_stored, stored_labels
from activelabel.errors import InvalidInputError
from activelabel.names import MODEL_ENDING
from activelabel.networks import build_network, weight_shapes
from activelabel.recipes import NetworkSettings, PreprocessingSettings, first_problem

FORMAT = "activelabel model 2"
ENDING = MODEL_ENDING
MOST_HEADER_BYTES = 2**20
_METADATA = "activelabel"
_LENGTH_BYTES = 8
_DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip
"""The names in a safetensors header for the types of a network's weights and buffers."""


def _read_labels(content: object) -> LabelMap:
    """The label map in a description.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(content, Sequence) or isinstance(content, str) or not all(isinstance(x, str) for x in content):
        raise ValueError(f"expected names of labels, got {str(content)[:80]!r}")
    try:
        return read_stored(content if isinstance(content, LabelMap) else tuple(content))
    except InvalidInputError as error:
        raise ValueError(str(error)) from error


Labels = Annotated[LabelMap, PlainValidator(_read_labels), PlainSerializer(stored_labels)]


class ModelDescription(BaseModel):
    """What one must know of a model to use its weights. `labels` are the structures, without background.

    `channels` name those of an image, in the network's order; one of a single channel may be without a name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: str
    labels: Labels
    network: NetworkSettings
    preprocessing: PreprocessingSettings
    channels: tuple[str, ...] = ()

    @property
    def inputs(self) -> int:
        """Channels of the network's input."""
        return max(1, len(self.channels))

    @property
    def classes(self) -> int:
        """Channels of the network's output: background included, unless the structures overlap."""
        return label_map_of(self.labels).channels


@dataclass(frozen=True)
class _StoredModel:
    """A model file as it was read: its description, type and shape of each weight, and all its bytes."""

    description: ModelDescription
    weights: Mapping[str, tuple[str, tuple[int, ...]]]
    raw: bytes


def save_model(path: Path, weights: Mapping[str, torch.Tensor], description: ModelDescription) -> str:
    """Write a model version at `path`, at once or not at all, and return the SHA-256 of the file.

    Raises:
        FileExistsError: there is a file already; a version never changes.
        OSError: the folder is missing, read-only or full.
    """
    if path.exists():
        raise FileExistsError(f"{path.name} exists already, and a model version never changes")
    content = model_bytes(weights, description)
    write_atomically(path, content)
    return hashlib.sha256(content).hexdigest()


def model_bytes(weights: Mapping[str, torch.Tensor], description: ModelDescription) -> bytes:
    """The bytes of a model's file; equal weights and descriptions always give the same bytes."""
    metadata = json.dumps({"format": FORMAT, "description": description.model_dump(mode="json")}, sort_keys=True)
    # Copies, as a network may use a weight in two places, which the format does not know.
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in weights.items()}
    return save(plain, {_METADATA: metadata})


def largest_model_bytes(description: ModelDescription) -> int:
    """The largest possible size of a file for a model of this kind."""
    weights = weight_shapes(description.network, description.classes, description.inputs).values()
    return sum(weight.nbytes for weight in weights) + MOST_HEADER_BYTES + _LENGTH_BYTES


def load_model(path: Path, expected: ModelDescription, sha256: str | None = None) -> nn.Module:
    """The network of the model version at `path`, on the CPU and in evaluation mode.

    It pads as it was trained, whatever `expected` says: weights fit either padding, so a model stays usable where a
    later version of its recipe pads in another way.

    Args:
        path: a file from `save_model`.
        expected: the description that the app is set up for; the recipe's name is not compared.
        sha256: the SHA-256 of the published file, to be compared.

    Raises:
        InvalidInputError: there is no such file; it is no model of this app or was changed; it was trained for other
            labels or channels, another network or another preprocessing than expected; its weights are not those of
            the network, by name, shape and type, or not finite. Nothing is cast.
    """
    stored = _read(path, sha256)
    _compare(path, stored.description, expected)
    padding = {"padding": stored.description.network.padding}
    network = build_network(expected.network.model_copy(update=padding), expected.classes, expected.inputs)
    _compare_weights(path, stored.weights, network.state_dict())
    try:
        weights = load(stored.raw)
    except SafetensorError as error:
        raise _no_model(path) from error
    for name, weight in weights.items():
        if not weight.isfinite().all():
            raise InvalidInputError(f"model {path.name}: its weights are not finite ('{name}'): train a new model")
    network.load_state_dict(weights)
    return network.eval()


def open_model(path: Path, trusted: NetworkSettings | None = None) -> tuple[nn.Module, ModelDescription]:
    """The network of any model version, as from `load_model`, and its description.

    A model whose network is somebody's own code is opened only if `trusted`, the network of a recipe, names the same
    code: a file does not say what is run.

    Raises:
        InvalidInputError: there is no such file, it is no model of this app, or its network is code that is not
            trusted.
    """
    description = _read(path, None).description
    if description.network.is_own:
        if trusted is None or trusted.code != description.network.code:
            raise InvalidInputError(
                f"model {path.name}: its network is code from elsewhere, {description.network.code}, which runs only "
                "if a recipe names it: give that recipe with --recipe PATH.toml"
            )
        description = description.model_copy(update={"network": trusted})
    return load_model(path, description), description


def stored_description(path: Path) -> ModelDescription | None:
    """The description in a model file of this app; None if it is another safetensors file.

    Raises:
        InvalidInputError: the file is no safetensors file, or its description is wrong.
    """
    header = _header(path, path.read_bytes())
    metadata = header.get("__metadata__")
    return _read(path, None).description if isinstance(metadata, dict) and _METADATA in metadata else None


def _read(path: Path, sha256: str | None) -> _StoredModel:
    if not path.is_file():
        raise InvalidInputError(f"model {path.name}: there is no such file: train a model, or put the file back")
    raw = path.read_bytes()
    if sha256 is not None and hashlib.sha256(raw).hexdigest() != sha256:
        raise InvalidInputError(
            f"model {path.name}: the file is not the one that was published (its SHA-256 differs): put that one back, "
            "or train a new model"
        )
    header = _header(path, raw)
    try:
        metadata = json.loads(header.pop("__metadata__")[_METADATA])
        weights = {name: (str(entry["dtype"]), tuple(entry["shape"])) for name, entry in header.items()}
        if metadata["format"] != FORMAT:
            raise _no_model(path)
        description = metadata["description"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise _no_model(path) from error
    return _StoredModel(described(path, description), weights, raw)


def _header(path: Path, raw: bytes) -> dict[str, Any]:
    """The header of a safetensors file: its length in 8 bytes, then JSON."""
    length = int.from_bytes(raw[:_LENGTH_BYTES], "little")
    if len(raw) < _LENGTH_BYTES or length > min(MOST_HEADER_BYTES, len(raw) - _LENGTH_BYTES):
        raise _no_model(path)
    try:
        header = json.loads(raw[_LENGTH_BYTES : _LENGTH_BYTES + length])
    except (ValueError, RecursionError) as error:
        raise _no_model(path) from error
    if not isinstance(header, dict):
        raise _no_model(path)
    return header


def _no_model(path: Path) -> InvalidInputError:
    return InvalidInputError(
        f"model {path.name}: the file is no model of this app (expected a {ENDING} file, '{FORMAT}'): use one that its "
        "training published"
    )


def described(path: Path, content: object) -> ModelDescription:
    """The checked description in a model file.

    Raises:
        InvalidInputError: `content` is no description of a model.
    """
    try:
        return ModelDescription.model_validate(content)
    except ValidationError as error:
        raise InvalidInputError(f"model {path.name}: {first_problem(error)}: train a new model") from error


def _compare_weights(
    path: Path, found: Mapping[str, tuple[str, tuple[int, ...]]], expected: Mapping[str, torch.Tensor]
) -> None:
    """Refuse weights that are not those of the network, by name, type or shape: nothing is cast."""
    differing = sorted(found.keys() ^ expected.keys())
    if differing:
        problem = f"{differing[0][:80]!r} is {'missing' if differing[0] in expected else 'none of it'}"
        raise _do_not_fit(path, problem)
    for name, weight in expected.items():
        wanted = (_DTYPES[weight.dtype], tuple(weight.shape))
        if found[name] != wanted:
            dtype, shape = found[name]
            raise _do_not_fit(path, f"'{name}' is {dtype} {shape}, expected {wanted[0]} {wanted[1]}")


def _do_not_fit(path: Path, problem: str) -> InvalidInputError:
    return InvalidInputError(
        f"model {path.name}: its weights do not fit the network it names ({problem}): train a new model"
    )


def _compare(path: Path, found: ModelDescription, expected: ModelDescription) -> None:
    pairs: dict[str, tuple[object, object]] = {"labels": (found.labels, expected.labels)}
    if max(found.inputs, expected.inputs) > 1:  # what the only channel is called makes no difference to the network
        pairs["channels"] = (found.channels or "one", expected.channels or "one")
    for section in ("network", "preprocessing"):
        wanted = getattr(expected, section).model_dump()
        pairs |= {f"{section}.{key}": (value, wanted[key]) for key, value in getattr(found, section)}
    del pairs["network.padding"]  # The network is built with that of the file.
    if "auto" in pairs["preprocessing.intensity"]:  # In older models, each image decided this for itself.
        del pairs["preprocessing.intensity"]
    if found.network.code == expected.network.code:  # A bundle may lie in another folder now.
        del pairs["network.bundle"]
    if not expected.preprocessing.slices_last:  # The plane of the slices then makes no difference to the network.
        del pairs["preprocessing.slice_plane"]
    for name, (value, wanted) in pairs.items():
        if value != wanted:
            raise InvalidInputError(
                f"model {path.name}: it was trained with {name} {_text(value)}, expected {_text(wanted)}: start the "
                "app with the settings of that training, or train a new model"
            )


def _text(value: object) -> str:
    if isinstance(value, LabelMap):
        return ", ".join(entries_of(value))
    return ", ".join(str(part) for part in value) if isinstance(value, tuple) else str(value)
