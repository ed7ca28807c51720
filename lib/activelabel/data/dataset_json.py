"""Reading `dataset.json`, the description of a data set, as the Medical Segmentation Decathlon and nnU-Net write it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from activelabel.errors import InvalidInputError

_MOST_DIGITS = 9  # of a value of a label


@dataclass(frozen=True)
class DatasetDescription:
    """A data set as its file describes it.

    Attributes:
        path: the path of the file.
        labels: by name, the values in label files; several values for a region, and never none.
        regions_class_order: the value that nnU-Net writes for each region, in its order of writing.
        channels: the names of an image's channels, in their order; empty if the file does not name them.
        file_ending: the ending of images and labels; "" if the file does not name it.
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
        InvalidInputError: it cannot be read, it has no labels, or its labels or channels have another form than in
            these data sets.
    """
    try:
        content = json_of(path)
        labels = _labels(content["labels"])
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise InvalidInputError(
            f'{path}: expected "labels" like {{"0": "background", "1": "liver"}} or {{"background": 0, "liver": 1}}, '
            f"got {type(error).__name__}: {error}"
        ) from error
    order, ending = content.get("regions_class_order") or (), content.get("file_ending") or ""
    if not isinstance(order, list | tuple) or not all(map(_is_number, order)) or not isinstance(ending, str):
        raise InvalidInputError(
            f'{path}: expected "regions_class_order" like [1, 2] and "file_ending" like ".nii.gz", got '
            f"{repr(order)[:80]} and {repr(ending)[:80]}: write it again"
        )
    return DatasetDescription(path, labels, tuple(int(str(value)) for value in order), _channels(path, content), ending)


def json_of(path: Path) -> Any:
    """The content of a JSON file in UTF-8, which may begin with a byte-order mark, as editors of Windows write it.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON, or an object in it has a key twice, of which readers would take the last in silence.
        RecursionError: it is nested too deeply.
    """
    return json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_each_key_once)


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"'{key[:80]}' is there twice")
        found[key] = value
    return found


def declared_channels(folders: Iterable[Path]) -> tuple[str, ...]:
    """The channels that the first `dataset.json` in these folders names, in their order; empty if none does.

    Raises:
        InvalidInputError: it is no JSON file, or names them in another form than nnU-Net and the Decathlon.
    """
    for path in (folder / "dataset.json" for folder in folders):
        if path.is_file():
            try:
                content = json_of(path)
            except (OSError, ValueError, RecursionError) as error:
                raise InvalidInputError(f"{path}: not a JSON file ({error}): write it again") from error
            return _channels(path, content) if isinstance(content, dict) else ()
    return ()


def _labels(found_labels: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Values by name, whether the file has names or values as keys.

    Raises:
        ValueError: neither keys nor values are whole numbers, or lists of them, throughout; or two names have one
            value.
    """
    if all(_is_number(value) for value in found_labels):
        pairs = [(_name(name), _values(str(name), value)) for value, name in found_labels.items()]
    else:
        pairs = [(name, _values(name, value)) for name, value in found_labels.items()]
    found: dict[str, tuple[int, ...]] = {}
    for name, values in pairs:
        if values in found.values():
            raise ValueError("two names have one value")
        if name in found:
            raise ValueError(f"the label '{name}' is named twice")
        found[name] = values
    return found


def _name(content: Any) -> str:
    if not isinstance(content, str | int):
        raise ValueError(f"a name of a label is {repr(content)[:80]}, no text")
    return str(content)


def _values(name: str, content: Any) -> tuple[int, ...]:
    values = content if isinstance(content, list) else [content]
    if not values or not all(map(_is_number, values)):
        raise ValueError(f"the value of '{name[:80]}' is {repr(content)[:80]}, no whole number")
    return tuple(int(str(value)) for value in values)


def _is_number(value: object) -> bool:
    text = "" if isinstance(value, bool) else str(value).strip()
    return text.isdecimal() and len(text) <= _MOST_DIGITS


def _channels(path: Path, content: Mapping[str, Any]) -> tuple[str, ...]:
    channels = content.get("channel_names") or content.get("modality") or {}
    if isinstance(channels, str):
        return (channels,)
    if not isinstance(channels, dict) or not all(map(_is_number, channels)):
        raise InvalidInputError(
            f'{path}: expected "channel_names" like {{"0": "CT"}}, got {str(channels)[:80]}: correct it'
        )
    return tuple(str(channels[number]) for number in sorted(channels, key=int))
