"""Labels as DICOM SEG, which other viewers of a PACS show: written from a label, and put back on an image's grid."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import UID, SegmentationStorage

from activelabel.data.grids import TOLERANCE_VOXELS, Grid
from activelabel.data.volumes import read_volume
from activelabel.errors import InvalidInputError

CONVERTER = "itkimage2segimage"
_LONGEST_NAME = 64  # characters of a DICOM long string
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class SegLabel:
    """A SEG on an image's grid: value v of `array` (W, H, D) is the structure `names[v - 1]`, 0 is background.

    Segments without a voxel are left out, as viewers list all that could have been drawn.
    """

    array: NDArray[np.uint16]
    names: tuple[str, ...]


def find_converter() -> str:
    """Path of the program that writes SEG, on PATH or in the folder of this Python.

    Raises:
        InvalidInputError: it is in neither.
    """
    beside = Path(sys.executable).parent
    found = shutil.which(CONVERTER) or shutil.which(CONVERTER, path=str(beside))
    if found is None:
        raise InvalidInputError(
            f"{CONVERTER}, which stores labels in a PACS, is neither on PATH nor in {beside}: pip install dcmqi"
        )
    return found


def write_seg(label: Path, series: Path, names: Sequence[str], uid: str, author: str) -> FileDataset | None:
    """A label as DICOM SEG, each segment called as its value is, whichever values occur.

    Args:
        label: NIfTI on the grid of the series; value v is `names[v - 1]`.
        series: folder with the DICOM files of the image.
        names: of the values 1..N.
        uid: identifier of the new series and of its one instance.
        author: who made the label.

    Returns:
        The SEG; None for an empty label, which SEG cannot hold.

    Raises:
        InvalidInputError: `label` or `series` cannot be read; the line ends with what the converter said.
    """
    present = [int(value) for value in np.unique(read_volume(label).array) if value != 0]
    if not present:
        return None
    with TemporaryDirectory() as folder:
        template, target = Path(folder) / "template.json", Path(folder) / "seg.dcm"
        template.write_text(json.dumps(_template(present)))
        command = [find_converter(), "--inputImageList", str(label), "--inputDICOMDirectory", str(series)]
        command += ["--inputMetadata", str(template), "--outputDICOM", str(target)]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
        if done.returncode != 0 or not target.exists():
            said = (done.stdout + done.stderr).strip().splitlines()
            raise InvalidInputError(f"{label.name}: {CONVERTER} cannot make a SEG of it: {' | '.join(said[-3:])}")
        seg = pydicom.dcmread(target)
    _name(seg, [names[value - 1] for value in present], author)
    _identify(seg, uid)
    return seg


def _template(present: Sequence[int]) -> dict[str, Any]:
    """The converter's instructions. It refuses any name outside ASCII, so the names come afterwards."""
    segments = [
        {
            "labelID": value,
            "SegmentLabel": str(value),
            "SegmentDescription": str(value),
            "SegmentAlgorithmType": "MANUAL",
            "SegmentedPropertyCategoryCodeSequence": {
                "CodeValue": "123037004",
                "CodingSchemeDesignator": "SCT",
                "CodeMeaning": "Anatomical Structure",
            },
            "SegmentedPropertyTypeCodeSequence": {
                "CodeValue": str(value),
                "CodingSchemeDesignator": "99ACTIVELABEL",
                "CodeMeaning": str(value),
            },
            "recommendedDisplayRGBValue": _COLOURS[(value - 1) % len(_COLOURS)],
        }
        for value in present
    ]
    return {
        "ContentCreatorName": "",
        "SeriesDescription": "Segmentation (activelabel)",
        "SeriesNumber": "300",
        "InstanceNumber": "1",
        "ContentLabel": "SEGMENTATION",
        "ContentDescription": "Label of an annotator",
        "ClinicalTrialSeriesID": "1",
        "ClinicalTrialTimePointID": "1",
        "segmentAttributes": [segments],
    }


_COLOURS = ([221, 130, 101], [157, 108, 162], [185, 102, 83], [216, 191, 90], [111, 184, 210], [144, 238, 144])


def _name(seg: FileDataset, names: Sequence[str], author: str) -> None:
    """Put in the names, in UTF-8; texts copied from the image are decoded first, from whatever they were in."""
    seg.decode()
    seg.SpecificCharacterSet = "ISO_IR 192"
    seg.ContentCreatorName = _text(author)
    for segment, name in zip(seg.SegmentSequence, names, strict=True):
        segment.SegmentLabel = segment.SegmentDescription = _text(name)
        segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning = _text(name)


def _text(text: str) -> str:
    """As DICOM can hold it: a backslash would separate two values."""
    return text.replace("\\", "/")[:_LONGEST_NAME]


def _identify(seg: FileDataset, uid: str) -> None:
    seg.SeriesInstanceUID = seg.SOPInstanceUID = seg.file_meta.MediaStorageSOPInstanceUID = UID(uid)


def read_seg(seg: Dataset, image: Grid) -> SegLabel:
    """Put a SEG back on the grid of its image. It holds only slices that are not empty; the others are background.

    Raises:
        InvalidInputError: it is no binary SEG, is damaged, lies beside the image's voxels, or segments overlap.
    """
    kind = seg.get("SegmentationType")
    if seg.get("SOPClassUID") != SegmentationStorage or kind != "BINARY":
        raise InvalidInputError(f"SEG: expected a binary segmentation, got {kind or 'another kind of object'}")
    try:
        names = {int(item.SegmentNumber): str(item.SegmentLabel) for item in seg.SegmentSequence}
        shared = seg.get("SharedFunctionalGroupsSequence", [Dataset()])[0]
        frames = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
        values = {number: position for position, number in enumerate(names, start=1)}
        array = np.zeros(image.shape, dtype=np.uint16)
        for pixels, own in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
            number = int(_group(own, shared, "SegmentIdentificationSequence").ReferencedSegmentNumber)
            _draw(array, pixels, _frame_affine(own, shared), image, values[number])
    except (AttributeError, KeyError, IndexError, TypeError, ValueError, NotImplementedError) as error:
        raise InvalidInputError(f"SEG: damaged or incomplete ({type(error).__name__}: {error})") from error
    drawn = np.unique(array[array > 0])
    kept = np.zeros(len(names) + 1, dtype=np.uint16)
    kept[drawn] = np.arange(1, len(drawn) + 1)
    listed = tuple(names.values())
    return SegLabel(kept[array], tuple(listed[value - 1] for value in drawn))


def _group(own: Dataset, shared: Dataset, name: str) -> Dataset:
    """A functional group, which is of one frame or of all."""
    return own[name][0] if name in own else shared[name][0]


def _frame_affine(own: Dataset, shared: Dataset) -> NDArray[np.float64]:
    """From (column, row, 1) of a frame to RAS millimetres: (4, 3)."""
    orientation = np.array(_group(own, shared, "PlaneOrientationSequence").ImageOrientationPatient, dtype=np.float64)
    between_rows, between_columns = map(float, _group(own, shared, "PixelMeasuresSequence").PixelSpacing)
    position = np.array(_group(own, shared, "PlanePositionSequence").ImagePositionPatient, dtype=np.float64)
    affine_lps = np.zeros((4, 3))
    affine_lps[:3] = np.stack([orientation[:3] * between_columns, orientation[3:] * between_rows, position], axis=1)
    affine_lps[3, 2] = 1
    return np.asarray(_LPS @ affine_lps)


def _draw(
    array: NDArray[np.uint16], pixels: NDArray[np.generic], affine_ras: NDArray[np.float64], image: Grid, value: int
) -> None:
    """Set the voxels of one frame."""
    steps = np.abs(np.linalg.solve(image.affine_ras, affine_ras[:, :2]))[:3]
    rows, columns = np.nonzero(pixels)
    found = np.linalg.solve(image.affine_ras, affine_ras @ np.stack([columns, rows, np.ones_like(rows)]))[:3]
    voxels = np.rint(found).astype(np.intp)
    outside = (voxels < 0) | (voxels >= np.array(image.shape)[:, None])
    one_voxel_each = np.allclose(np.sort(steps, axis=0), [[0, 0], [0, 0], [1, 1]], atol=TOLERANCE_VOXELS)
    if not one_voxel_each or outside.any() or np.abs(found - voxels).max(initial=0) > TOLERANCE_VOXELS:
        raise InvalidInputError("SEG: its frames do not lie on the voxels of its image: make it on the image itself")
    place = tuple(voxels)
    if np.any((array[place] != 0) & (array[place] != value)):
        raise InvalidInputError("SEG: its segments overlap, expected one structure a voxel: separate them")
    array[place] = value
