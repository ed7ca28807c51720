"""Whether images are CT, in Hounsfield units, or anything else, whose numbers mean nothing by themselves."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pydicom
import torch
from numpy.typing import NDArray
from pydicom.errors import InvalidDicomError

from activelabel.data.preprocessing import is_ct
from activelabel.errors import InvalidInputError

Modality = Literal["CT", "other"]
ModalityChoice = Literal["auto", "ct", "other"]

# Cone-beam CT is among them: its numbers are no Hounsfield units.
_DICOM_TERMS = {"ivus", "mr", "nm", "oct", "op", "opt", "ot", "pt", "us", "xa"}
_USUAL_NAMES = {"cbct", "mri", "other", "pet", "spect", "ultrasound"}
_MR_SEQUENCES = {"adc", "bold", "cine-mri", "dwi", "flair", "pd", "t1", "t1ce", "t1gd", "t1w", "t2", "t2w"}
_OTHERS = _DICOM_TERMS | _USUAL_NAMES | _MR_SEQUENCES
AUTO = "auto"


@dataclass(frozen=True)
class ProjectModality:
    """What all images of a project are: `name`, CT or another, and how that was found out."""

    name: str
    reason: str

    @property
    def kind(self) -> Modality:
        """What it comes to."""
        return "CT" if self.name == "CT" else "other"

    @property
    def intensity(self) -> Literal["window", "zscore"]:
        """How a recipe whose `intensity` is `auto` brings such images into the network's range."""
        return "window" if self.kind == "CT" else "zscore"

    def __str__(self) -> str:
        done = "windowed" if self.intensity == "window" else "z-scored"
        return f"{self.name} ({self.reason}): images are {done}"


def named_modality(name: str, source: str) -> ProjectModality:
    """What `source` calls by a name.

    Raises:
        InvalidInputError: nobody knows that modality.
    """
    word = name.strip().upper()
    return ProjectModality("other" if _known(source, name) == "other" and word == "OTHER" else word, source)


def dataset_modality(folders: Iterable[Path]) -> ProjectModality | None:
    """What the first `dataset.json` in these folders says that says anything; None where none does.

    "modality" is read as the Medical Segmentation Decathlon has it, "channel_names" as nnU-Net: CT, or whatever else.

    Raises:
        InvalidInputError: as `declared_modality`.
    """
    for folder in folders:
        file = folder / "dataset.json"
        name = declared_modality(file)
        if name is not None and name.strip():
            return named_modality(name, "dataset.json 'modality'")
        channel = _first_channel(file)
        if channel is not None:
            ct = channel.strip().casefold() == "ct"
            return ProjectModality("CT" if ct else "other", f"dataset.json 'channel_names' {channel}")
    return None


def voted_modality(hounsfield: Sequence[bool]) -> ProjectModality:
    """What most of some images look like, of which it is known whether they look like Hounsfield units."""
    count = sum(hounsfield)
    said = f"{count} of {len(hounsfield)} images look like Hounsfield units"
    return ProjectModality("CT" if 2 * count > len(hounsfield) else "other", said)


def choose_modality(
    voxels: NDArray[np.float32],
    choice: ModalityChoice = "auto",
    dicom: str | None = None,
    declared: str | None = None,
) -> Modality:
    """The first of these that says something: `choice`, the DICOM tag, `dataset.json`, the range of the intensities.

    Args:
        voxels: of the image, in its own numbers; only looked at if nothing else says what it is, see `AIR_HU`.
        choice: the setting `proxy.modality`; `auto` says nothing.
        dicom: Modality (0008,0060), as of `series_modality`.
        declared: what the data set says of all its images, as of `declared_modality`.

    Raises:
        InvalidInputError: one of the two names is of a modality that nobody knows.
    """
    if choice != "auto":
        return "CT" if choice == "ct" else "other"
    for source, name in (("DICOM tag Modality", dicom), ("dataset.json 'modality'", declared)):
        if name is not None and name.strip():
            return _known(source, name)
    return "CT" if is_ct(torch.from_numpy(voxels)) else "other"


def declared_modality(dataset_json: Path) -> str | None:
    """What a `dataset.json` says under "modality": a name, or that of its first channel; None if it says nothing.

    Raises:
        InvalidInputError: it is no JSON object, or "modality" is neither a name nor {"0": name}.
    """
    if not dataset_json.is_file():
        return None
    try:
        content = json.loads(dataset_json.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{dataset_json.name}: not a JSON file ({error}): write it again") from error
    said = content.get("modality") if isinstance(content, dict) else content
    name = said.get("0") if isinstance(said, dict) else said
    if name is None and isinstance(content, dict):
        return None
    if not isinstance(name, str):
        raise InvalidInputError(
            f"{dataset_json.name}: 'modality' is {json.dumps(said)[:100]}, expected a name such as \"CT\" or "
            '{"0": "CT"}: correct it, or set proxy.modality to ct or other'
        )
    return name


def _first_channel(dataset_json: Path) -> str | None:
    """What nnU-Net's "channel_names" calls the first channel."""
    if not dataset_json.is_file():
        return None
    content = json.loads(dataset_json.read_text(encoding="utf-8"))
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
