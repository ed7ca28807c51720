"""Compares weights from elsewhere with a project's network, and says in lines what fits and what does not."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from activelabel.data.labels.label_texts import entries_of
from activelabel.errors import InvalidInputError
from activelabel.exchange.weights_files import FoundWeights
from activelabel.networks import weight_shapes
from activelabel.training.checkpoints import ModelDescription
from activelabel.training.transfer import last_layer

NAMED = 4
"""How many weights a line names; it counts the others."""
_DEEPEST_PREFIX = 3
_LAST_LAYER = "the last layer is random at first: the file is not known to have the project's labels"

Prefixes = tuple[str, str]


@dataclass(frozen=True)
class Fit:
    """What an import takes over.

    Attributes:
        taken: the weights that fit, by their names in the project's network.
        lines: for the user, what fits, what does not, and what begins at random.
        whole: whether this is a model of the project: all weights, with the project's labels and preprocessing.
    """

    taken: Mapping[str, Tensor]
    lines: tuple[str, ...]
    whole: bool


def fit(found: FoundWeights, wanted: ModelDescription) -> Fit:
    """Compare weights with the network, labels and preprocessing that a project wants.

    A weight fits by its name and shape. Names may differ in a prefix, as those of an encoder alone do. The last layer
    is taken over only if the file says that its labels are those of the project.

    Raises:
        InvalidInputError: no weight fits, or one is not finite.
    """
    own = weight_shapes(wanted.network, wanted.classes, wanted.inputs)
    prefixes = _best_prefixes(found.weights, own)
    same_labels = found.description is not None and found.description.labels == wanted.labels
    left_out = frozenset() if same_labels else last_layer(wanted.network)
    renamed = {name: _name_in_file(name, prefixes) for name in own if name.startswith(prefixes[0])}
    present = {name: found.weights[file] for name, file in renamed.items() if file in found.weights}
    fitting = {name: values for name, values in present.items() if values.shape == own[name].shape}
    taken = {name: values.to(own[name].dtype) for name, values in fitting.items() if name not in left_out}
    if all(values.ndim < 2 for values in taken.values()):  # a few biases of the same length are no part of a network
        raise InvalidInputError(f"{found.source}: {_why_nothing_fits(present, own)}: nothing of it can be taken over")
    for name, values in taken.items():
        if not values.isfinite().all():
            raise InvalidInputError(f"{found.source}: '{renamed[name]}' is not finite: get the file again")
    differences = tuple(_differences(found.description, wanted))
    lines = (
        *_layers(found, own, taken, present, prefixes),
        *(() if same_labels else (_LAST_LAYER,)),
        *differences,
    )
    return Fit(taken, lines, whole=len(taken) == len(own) == len(found.weights) and not differences)


def _best_prefixes(file: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> Prefixes:
    """The prefixes of the names, in the network and in the file, without which most weights fit."""

    def fitting(prefixes: Prefixes) -> int:
        names = (name for name in own if name.startswith(prefixes[0]))
        pairs = ((own[name], file.get(_name_in_file(name, prefixes))) for name in names)
        return sum(values is not None and values.shape == wanted.shape for wanted, values in pairs)

    candidates = [(here, there) for here in _prefixes(own) for there in _prefixes(file)]
    return max(candidates, key=lambda pair: (fitting(pair), -len(pair[0]) - len(pair[1])))


def _prefixes(names: Mapping[str, Tensor]) -> list[str]:
    """The beginnings of names up to a dot, the empty one first."""
    found = {""}
    for name in names:
        parts = name.split(".")
        found |= {".".join(parts[:depth]) + "." for depth in range(1, min(len(parts), _DEEPEST_PREFIX + 1))}
    return sorted(found)


def _name_in_file(name: str, prefixes: Prefixes) -> str:
    return prefixes[1] + name.removeprefix(prefixes[0])


def _why_nothing_fits(present: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    """The first weight of the right name and the wrong size, as an example of all."""
    if not present:
        return f"no weight has a name of the project's network, such as '{next(iter(own))}'"
    name = next(iter(present))
    return f"'{name}' is {_size(present[name])}, in the project's network {_size(own[name])}, and so with all"


def _layers(
    found: FoundWeights,
    own: Mapping[str, Tensor],
    taken: Mapping[str, Tensor],
    present: Mapping[str, Tensor],
    prefixes: Prefixes,
) -> Iterator[str]:
    numbers = sum(own[name].numel() for name in taken) / sum(values.numel() for values in own.values())
    yield f"layers: {len(taken)} of the network's {len(own)} weights fit ({numbers:.1%} of its numbers)"
    if any(prefixes):
        here, there = (prefix or "no prefix" for prefix in prefixes)
        yield f"names: with {there} in the file, with {here} in the network"
    other = [name for name in present if present[name].shape != own[name].shape]
    if other:
        sizes = [f"'{name}' is {_size(present[name])}, here {_size(own[name])}" for name in other[:NAMED]]
        yield f"of another size: {', '.join(sizes)}{_more(other)}"
    missing = [name for name in own if name not in taken and name not in other]
    if missing:
        yield f"random at first: {_names(missing)}"
    unused = len(found.weights) - len(taken)
    if unused:
        yield f"of the file's {len(found.weights)} weights, {unused} are not used"


def _differences(found: ModelDescription | None, wanted: ModelDescription) -> Iterator[str]:
    """A line for each property of the model that is not that of the project."""
    if found is None:
        yield (
            "labels, spacing, intensities: the file does not say them; the project's are "
            f"{', '.join(entries_of(wanted.labels))}, {_text(wanted.preprocessing.spacing_mm)} and "
            f"{wanted.preprocessing.intensity}"
        )
        return
    if found.labels != wanted.labels:
        yield f"labels: {', '.join(entries_of(found.labels))} in the file, {', '.join(entries_of(wanted.labels))} here"
    if max(found.inputs, wanted.inputs) > 1 and found.channels != wanted.channels:
        yield f"channels: {', '.join(found.channels) or 'one'} in the file, {', '.join(wanted.channels) or 'one'} here"
    for section in ("network", "preprocessing"):
        here = getattr(wanted, section).model_dump()
        for key, value in getattr(found, section).model_dump().items():
            if value != here[key]:
                yield f"{section}.{key}: {_text(value)} in the file, {_text(here[key])} here"


def _names(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names[:NAMED]) + _more(names)


def _more(names: list[str]) -> str:
    return f" and {len(names) - NAMED} more" if len(names) > NAMED else ""


def _size(values: Tensor) -> str:
    return "x".join(map(str, values.shape)) or "one number"


def _text(value: object) -> str:
    if isinstance(value, tuple | list):
        return " x ".join(f"{part:g}" if isinstance(part, float | int) else str(part) for part in value)
    return "each image's own" if value is None else str(value)
