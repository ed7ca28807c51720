"""DICOM series made by pydicom, slice by slice or in one file, with the errors that a test asks for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid

ROWS, COLUMNS = 6, 5
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SERIES = "1.2.826.0.1.3680043.8.498.1"


def stored_values(slices: int, rows: int = ROWS, columns: int = COLUMNS) -> np.ndarray:
    """Return stored values (N, rows, columns) that all differ."""
    return np.arange(slices * rows * columns, dtype=np.int16).reshape(slices, rows, columns)


def write_slices(
    folder: Path, changes: Sequence[dict[str, Any]], rows: int = ROWS, columns: int = COLUMNS
) -> np.ndarray:
    """Write a CT with one file per slice, 2.5 mm apart; `changes` sets attributes of each slice, None removes one."""
    folder.mkdir(parents=True, exist_ok=True)
    values = stored_values(len(changes), rows, columns)
    for index, changed in enumerate(changes):
        dataset = _dataset(CTImageStorage, values[index])
        dataset.InstanceNumber = index + 1
        dataset.ImagePositionPatient = [-10, 20, 30 + 2.5 * index]
        dataset.ImageOrientationPatient = list(AXIAL)
        dataset.PixelSpacing = [0.7, 0.5]
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1000
        _change(dataset, changed)
        # File names do not follow the order of slices.
        dataset.save_as(folder / f"{90 - index}.dcm", write_like_original=False)
    return values


def write_enhanced(
    file: Path, order: Sequence[int], own: Sequence[dict[str, Any]] | None = None, **changes: Any
) -> np.ndarray:
    """Write a CT in one file: frame f holds the slice `order[f]`; with `own`, each slice has its own slope."""
    file.parent.mkdir(parents=True, exist_ok=True)
    values = stored_values(len(order))
    dataset = _dataset(EnhancedCTImageStorage, values[list(order)])
    dataset.NumberOfFrames = len(order)
    shared = Dataset()
    shared.PixelMeasuresSequence = _group(PixelSpacing=[0.7, 0.5], SliceThickness=2.5)
    shared.PlaneOrientationSequence = _group(ImageOrientationPatient=list(AXIAL))
    if own is None:
        shared.PixelValueTransformationSequence = _group(RescaleSlope=1, RescaleIntercept=-1000, RescaleType="HU")
    dataset.SharedFunctionalGroupsSequence = DicomSequence([shared])
    frames = []
    for index in order:
        frame = Dataset()
        frame.PlanePositionSequence = _group(ImagePositionPatient=[-10, 20, 30 + 2.5 * index])
        if own is not None:
            frame.PixelValueTransformationSequence = _group(**own[index], RescaleType="HU")
        frames.append(frame)
    dataset.PerFrameFunctionalGroupsSequence = DicomSequence(frames)
    _change(dataset, changes)
    dataset.save_as(file, write_like_original=False)
    return values


def _group(**attributes: Any) -> DicomSequence:
    item = Dataset()
    _change(item, attributes)
    return DicomSequence([item])


def _change(dataset: Dataset, changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)


def _dataset(kind: str, pixels: np.ndarray) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = kind, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.is_little_endian, dataset.is_implicit_VR = True, False
    dataset.SOPClassUID, dataset.SOPInstanceUID = kind, meta.MediaStorageSOPInstanceUID
    dataset.SeriesInstanceUID, dataset.StudyInstanceUID, dataset.Modality = SERIES, f"{SERIES}.1", "CT"
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.PixelData = pixels.astype("<i2").tobytes()
    return dataset
