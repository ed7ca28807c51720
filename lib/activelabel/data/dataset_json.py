"""What a `dataset.json` says of a data set, as the Medical Segmentation Decathlon and nnU-Net write it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from activelabel.errors import InvalidInputError

IGNORE = "ignore"
"""What nnU-Net calls voxels of which nobody says what they are."""


@dataclass(frozen=True)
class DatasetDescription:
    """A data set as its file describes it.

    Attributes:
        path: of the file.
        labels: the values in label files that each name stands for; several for a region, none is empty.
        regions_class_order: the value that nnU-Net writes for each region, in the order in which it writes them.
        channels: the names of an image's channels, in their order; nothing where the file does not say it.
        file_ending: of images and labels, "" where the file does not say it.
    """

    path: Path
    labels: Mapping[str, tuple[int, ...]]
    regions_class_order: tuple[int, ...] = ()
    channels: tuple[str, ...] = ()
    file_ending: str = ""

    @property
    def regions(self) -> dict[str, tuple[int, ...]]:
        """The names that stand for several values."""
        return {name: values for name, values in self.labels.items() if len(values) > 1}


def read_dataset(path: Path) -> DatasetDescription:
    """Read a `dataset.json`.

    Raises:
        InvalidInputError: it cannot be read, has no labels, or they or its channels are written otherwise than in these
            data sets.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        labels = _labels(content["labels"])
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise InvalidInputError(
            f'{path}: expected "labels" like {{"0": "background", "1": "liver"}} or {{"background": 0, "liver": 1}}, '
            f"got {type(error).__name__}: {error}"
        ) from error
    order, ending = content.get("regions_class_order") or (), content.get("file_ending") or ""
    if not isinstance(order, list | tuple) or not all(map(_is_number, order)) or not isinstance(ending, str):
        raise InvalidInputError(
            f'{path}: expected "regions_class_order" like [1, 2] and "file_ending" like ".nii.gz", got {order!r} and '
            f"{ending!r}: write it again"
        )
    return DatasetDescription(path, labels, tuple(int(str(value)) for value in order), _channels(path, content), ending)


def _labels(said: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Values by name, whichever of both is the key.

    Raises:
        ValueError: neither is a whole number, or a list of such, everywhere; or two names have one value.
    """
    if all(_is_number(value) for value in said):
        pairs = [(str(name), _values(str(name), value)) for value, name in said.items()]
    else:
        pairs = [(name, _values(name, value)) for name, value in said.items()]
    found: dict[str, tuple[int, ...]] = {}
    for name, values in pairs:
        if values in found.values():
            raise ValueError("two names have one value")
        if name in found:
            raise ValueError(f"the label '{name}' is named twice")
        found[name] = values
    return found


def _values(name: str, said: Any) -> tuple[int, ...]:
    values = said if isinstance(said, list) else [said]
    if not values or not all(map(_is_number, values)):
        raise ValueError(f"the value of '{name}' is {said!r}, no whole number")
    return tuple(int(str(value)) for value in values)


def _is_number(value: object) -> bool:
    return not isinstance(value, bool) and str(value).strip().isdecimal()


def _channels(path: Path, content: Mapping[str, Any]) -> tuple[str, ...]:
    said = content.get("channel_names") or content.get("modality") or {}
    if isinstance(said, str):
        return (said,)
    if not isinstance(said, dict) or not all(map(_is_number, said)):
        raise InvalidInputError(
            f'{path}: expected "channel_names" like {{"0": "CT"}}, got {str(said)[:80]}: correct it'
        )
    return tuple(str(said[number]) for number in sorted(said, key=int))
