"""A NIfTI volume as a DICOM CT series, complete enough for archives and viewers that are strict."""

import datetime
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, generate_uid

AIR_HU = -1024
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def ct_series(image: Path, patient_id: str, when: datetime.datetime) -> list[FileDataset]:
    """The slices of `image` (Hounsfield units, rounded to whole ones) along its third axis, one dataset each.

    All identifiers follow from `patient_id`, so that the same volume sent twice is one series.
    """
    volume = nibabel.load(image)
    affine_lps = _RAS_TO_LPS @ volume.affine
    stored = np.clip(np.rint(volume.get_fdata()) - AIR_HU, 0, 2**16 - 1).astype(np.uint16)
    return [_slice(stored[:, :, index], affine_lps, index, patient_id, when) for index in range(stored.shape[2])]


def _slice(
    pixels: NDArray[np.uint16], affine_lps: NDArray[np.float64], index: int, patient_id: str, when: datetime.datetime
) -> FileDataset:
    """One slice; `pixels` is (W, H), while DICOM stores rows of columns."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = _uid(patient_id, f"slice {index}")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.is_little_endian, dataset.is_implicit_VR = True, False
    _identify(dataset, patient_id, when)
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.InstanceNumber = index + 1
    _place(dataset, affine_lps, index)
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Columns, dataset.Rows = pixels.shape
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 0
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = AIR_HU, 1, "HU"
    dataset.WindowCenter, dataset.WindowWidth = 50, 400
    dataset.PixelData = np.ascontiguousarray(pixels.T).tobytes()
    return dataset


def _identify(dataset: Dataset, patient_id: str, when: datetime.datetime) -> None:
    """Patient, study, series and equipment."""
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientID = patient_id
    dataset.PatientName = f"Phantom^{patient_id}"
    dataset.PatientBirthDate, dataset.PatientSex = "", "O"
    dataset.StudyInstanceUID = _uid(patient_id, "study")
    dataset.SeriesInstanceUID = _uid(patient_id, "series")
    dataset.FrameOfReferenceUID = _uid(patient_id, "frame of reference")
    dataset.StudyID, dataset.AccessionNumber, dataset.ReferringPhysicianName = patient_id, "", ""
    for event in ("Study", "Series", "Acquisition", "Content"):
        setattr(dataset, f"{event}Date", when.strftime("%Y%m%d"))
        setattr(dataset, f"{event}Time", when.strftime("%H%M%S"))
    dataset.StudyDescription = dataset.SeriesDescription = "Synthetic abdomen"
    dataset.Modality, dataset.SeriesNumber, dataset.AcquisitionNumber = "CT", 1, 1
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.Manufacturer, dataset.ManufacturerModelName = "activelabel", "sample data"
    dataset.PatientPosition, dataset.PositionReferenceIndicator, dataset.KVP = "HFS", "", 120


def _place(dataset: Dataset, affine_lps: NDArray[np.float64], index: int) -> None:
    """Where the slice lies. PixelSpacing is between rows first, then between columns."""
    spacing_mm = np.linalg.norm(affine_lps[:3, :3], axis=0)
    directions = affine_lps[:3, :3] / spacing_mm
    origin = affine_lps @ [0, 0, index, 1]
    dataset.ImageOrientationPatient = _decimals([*directions[:, 0], *directions[:, 1]])
    dataset.ImagePositionPatient = _decimals(origin[:3])
    dataset.PixelSpacing = _decimals([spacing_mm[1], spacing_mm[0]])
    dataset.SliceThickness = dataset.SpacingBetweenSlices = _decimals([spacing_mm[2]])[0]
    dataset.SliceLocation = _decimals([origin[2]])[0]


def _decimals(values: NDArray[np.float64] | list[float]) -> list[str]:
    """DICOM's decimal strings: 16 characters at most."""
    return [f"{value:.8g}" for value in values]


def _uid(patient_id: str, part: str) -> UID:
    return generate_uid(entropy_srcs=["activelabel sample data", patient_id, part])
