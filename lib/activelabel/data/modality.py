"""The modality of images: CT, in Hounsfield units, or any other, whose intensities have no fixed unit."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pydicom
import torch
from numpy.typing import NDArray
from pydicom.errors import InvalidDicomError

from activelabel.data.dataset_json import json_of
from activelabel.data.preprocessing import is_ct
from activelabel.errors import InvalidInputError

Modality = Literal["CT", "other"]
ModalityChoice = Literal["auto", "ct", "other"]
Prepared = Literal["window", "zscore"]

# Cone-beam CT is among them: its intensities are not Hounsfield units.
_DICOM_TERMS = {"ivus", "mr", "nm", "oct", "op", "opt", "ot", "pt", "us", "xa"}
_USUAL_NAMES = {"cbct", "mri", "other", "pet", "spect", "ultrasound"}
_MR_SEQUENCES = {"adc", "bold", "cine-mri", "dwi", "flair", "pd", "t1", "t1ce", "t1gd", "t1w", "t2", "t2w"}
_OTHERS = _DICOM_TERMS | _USUAL_NAMES | _MR_SEQUENCES
AUTO = "auto"


@dataclass(frozen=True)
class ProjectModality:
    """The modality of all images of a project: `name`, CT or another, and the source of that knowledge.

    Where channels have different ones, `name` has one for each, with commas in between.
    """

    name: str
    reason: str

    @property
    def kinds(self) -> tuple[Modality, ...]:
        """The kind of modality of each channel, CT or other; a single one if it is that of all."""
        return tuple("CT" if name.strip() == "CT" else "other" for name in self.name.split(","))

    @property
    def kind(self) -> Modality:
        """The kind of the only channel, or of the first."""
        return self.kinds[0]

    def kind_of(self, channel: int) -> Modality:
        """The kind of modality of a channel, by its place."""
        return self.kinds[channel if len(self.kinds) > 1 else 0]

    @property
    def intensity(self) -> Prepared | tuple[Prepared, ...]:
        """The intensity setting that `auto` in a recipe stands for; a setting a channel where they differ."""
        settings: tuple[Prepared, ...] = tuple("window" if kind == "CT" else "zscore" for kind in self.kinds)
        return settings[0] if len(set(settings)) == 1 else settings

    def __str__(self) -> str:
        words = {"window": "windowed", "zscore": "z-scored"}
        setting = self.intensity
        done = words[setting] if isinstance(setting, str) else ", ".join(words[one] for one in setting)
        return f"{self.name} ({self.reason}): images are {done}"


def named_modality(name: str, source: str) -> ProjectModality:
    """The modality that `source` gives by name; a name for each channel if there are commas in between.

    Raises:
        InvalidInputError: a modality is unknown.
    """
    words = []
    for one in name.split(","):
        word = one.strip().upper()
        words.append("other" if _known(source, one) == "other" and word == "OTHER" else word)
    return ProjectModality(", ".join(words), source)


def channel_modality(name: str) -> str | None:
    """The modality that the name of a channel tells: `CT venous` gives CT; None if it tells none."""
    words = re.split(r"[^a-z0-9]+", name.casefold())
    if "ct" in words:
        return "CT"
    known = [word for word in (name.strip().casefold(), *words) if word in _OTHERS]
    return (known[0].upper() if known[0] != "other" else "other") if known else None


def dataset_modality(folders: Iterable[Path]) -> ProjectModality | None:
    """The modality from the first `dataset.json` in these folders that gives one; None if none does.

    It may be under "modality", as in the Medical Segmentation Decathlon, or under "channel_names", as in nnU-Net.

    Raises:
        InvalidInputError: as `declared_modality`.
    """
    for folder in folders:
        file = folder / "dataset.json"
        name = declared_modality(file)
        if name is not None and name.strip():
            told = channel_modality(name)
            source = f"dataset.json 'modality'{'' if told is None or told == name.strip().upper() else f' {name}'}"
            return named_modality(name if told is None else told, source)
        channel = _first_channel(file)
        if channel is not None:
            ct = channel_modality(channel) == "CT"
            return ProjectModality("CT" if ct else "other", f"dataset.json 'channel_names' {channel}")
    return None


def voted_modality(hounsfield: Sequence[bool]) -> ProjectModality:
    """The modality that most images look like; `hounsfield` tells for each whether it looks like Hounsfield units."""
    count = sum(hounsfield)
    counted = f"{count} of {len(hounsfield)} images look like Hounsfield units"
    return ProjectModality("CT" if 2 * count > len(hounsfield) else "other", counted)


def choose_modality(
    voxels: NDArray[np.float32],
    choice: ModalityChoice = "auto",
    dicom: str | None = None,
    declared: str | None = None,
) -> Modality:
    """The modality from the first known of: `choice`, the DICOM tag, `dataset.json`, the range of the intensities.

    Args:
        voxels: the image's own intensities; used only if nothing else gives the modality, see `AIR_HU`.
        choice: the setting `proxy.modality`; `auto` leaves it to the others.
        dicom: Modality (0008,0060), as from `series_modality`.
        declared: the modality that the data set gives for all images, as from `declared_modality`.

    Raises:
        InvalidInputError: `dicom` or `declared` names an unknown modality.
    """
    if choice != "auto":
        return "CT" if choice == "ct" else "other"
    for source, name in (("DICOM tag Modality", dicom), ("dataset.json 'modality'", declared)):
        if name is not None and name.strip():
            return _known(source, name)
    return "CT" if is_ct(torch.from_numpy(voxels)) else "other"


def declared_modality(dataset_json: Path) -> str | None:
    """The "modality" of a `dataset.json`: its name, or the name for its first channel; None if it has none.

    Raises:
        InvalidInputError: it is no JSON object, or "modality" is neither a name nor {"0": name}.
    """
    if not dataset_json.is_file():
        return None
    try:
        content = json_of(dataset_json)
    except (OSError, ValueError, RecursionError) as error:  # ValueError: also for a number with too many digits
        raise InvalidInputError(f"{dataset_json.name}: not a JSON file ({error}): write it again") from error
    declared = content.get("modality") if isinstance(content, dict) else content
    name = declared.get("0") if isinstance(declared, dict) else declared
    if name is None and isinstance(content, dict):
        return None
    if not isinstance(name, str):
        raise InvalidInputError(
            f"{dataset_json.name}: 'modality' is {json.dumps(declared)[:100]}, expected a name such as \"CT\" or "
            '{"0": "CT"}: correct it, or set proxy.modality to ct or other'
        )
    return name


def _first_channel(dataset_json: Path) -> str | None:
    """The name of the first channel in nnU-Net's "channel_names"."""
    if not dataset_json.is_file():
        return None
    content = json_of(dataset_json)
    names = content.get("channel_names") if isinstance(content, dict) else None
    first = names.get("0") if isinstance(names, dict) else None
    return first if isinstance(first, str) and first.strip() else None


def series_modality(path: Path) -> str | None:
    """Modality of a DICOM file, or of the first file of a folder that holds one series; None if it is not there.

    Raises:
        InvalidInputError: it cannot be read as DICOM.
    """
    first = min(path.iterdir(), default=None) if path.is_dir() else path
    if first is None:
        return None
    try:
        header = pydicom.dcmread(first, stop_before_pixels=True, specific_tags=["Modality"])
    except (InvalidDicomError, EOFError, OSError, ValueError) as error:
        raise InvalidInputError(f"{first.name}: cannot be read as DICOM ({error}): send the series again") from error
    value = header.get("Modality")
    return str(value) if value else None


def _known(source: str, name: str) -> Modality:
    word = name.strip().casefold()
    if word == "ct":
        return "CT"
    if word in _OTHERS:
        return "other"
    raise InvalidInputError(
        f"{source} is '{name}', expected CT or one of {', '.join(sorted(_OTHERS))}: correct it, or set "
        "proxy.modality to ct or other, or start with --conf modality CT or other"
    )
