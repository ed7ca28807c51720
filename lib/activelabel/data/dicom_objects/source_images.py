"""The files of a series as highdicom wants the source images of an object that is derived from them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from highdicom.content import PlanePositionSequence
from pydicom.dataset import Dataset

from activelabel.data.dicom.frames import Frame

_LONGEST_NAME = 64  # characters of a DICOM long string
_EMPTY_IF_MISSING = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
    "StudyTime", "ReferringPhysicianName",
)  # fmt: skip
"""Attributes that DICOM allows to be empty, but not missing; they are added if a series lacks them."""


def source_images(frames: Sequence[Frame]) -> list[Dataset]:
    """The files of these frames in their order, each once, with their texts decoded."""
    by_file: Mapping[Path, Dataset] = {frame.file: frame.header for frame in frames}
    sources = list(by_file.values())
    distance_mm = float(np.linalg.norm(frames[-1].position_mm - frames[0].position_mm)) / (len(frames) - 1)
    for source in sources:
        source.decode()
        for name in _EMPTY_IF_MISSING:
            if name not in source:
                setattr(source, name, "")
        if "SliceThickness" not in source and "SharedFunctionalGroupsSequence" not in source:
            source.SliceThickness = f"{distance_mm:.9g}"
    return sources


def plane_position(frame: Frame) -> PlanePositionSequence:
    """The place of a frame, rounded to what a DICOM number can hold."""
    place = [float(f"{value:.9g}") for value in frame.position_mm]
    return PlanePositionSequence(coordinate_system="PATIENT", image_position=place)


def long_string(text: str) -> str:
    """The text as a DICOM long string, without backslashes, which would separate two values."""
    return text.replace("\\", "/")[:_LONGEST_NAME]
