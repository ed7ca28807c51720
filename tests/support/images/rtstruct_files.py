"""RTSTRUCT objects made by pydicom: structures by name, each with contours in RAS millimetres."""

from collections.abc import Mapping, Sequence

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid

from activelabel.data.grids import Grid


def in_slice(grid: Grid, index: float, corners: Sequence[Sequence[float]], axis: int = 2) -> np.ndarray:
    """Convert corners in voxels of a slice to points (N, 3) in RAS millimetres."""
    points = np.insert(np.array(corners, dtype=float), axis, index, axis=1)
    return np.asarray(points @ grid.affine_ras[:3, :3].T + grid.affine_ras[:3, 3])


def rtstruct(
    structures: Mapping[str, Sequence[np.ndarray]],
    series: Sequence[str] = ("1.2.3",),
    kind: str = "CLOSED_PLANAR",
    decimals: int = 6,
) -> FileDataset:
    """Make an object with these structures, drawn on these series."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = RTStructureSetStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.is_little_endian, dataset.is_implicit_VR = True, False
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID, dataset.SOPInstanceUID = RTStructureSetStorage, meta.MediaStorageSOPInstanceUID
    dataset.SeriesInstanceUID, dataset.StudyInstanceUID, dataset.Modality = generate_uid(), "1.2", "RTSTRUCT"
    dataset.StructureSetDate, dataset.StructureSetTime, dataset.OperatorsName = "20260102", "030405", "Planner"
    dataset.StructureSetLabel = "test"
    referenced = [_item(SeriesInstanceUID=uid) for uid in series]
    study = _item(RTReferencedSeriesSequence=DicomSequence(referenced))
    frame = _item(FrameOfReferenceUID="1.2.9", RTReferencedStudySequence=DicomSequence([study]))
    dataset.ReferencedFrameOfReferenceSequence = DicomSequence([frame])
    dataset.StructureSetROISequence = DicomSequence(
        [_item(ROINumber=number, ROIName=name) for number, name in enumerate(structures, start=1)]
    )
    drawings = []
    for number, drawn in enumerate(structures.values(), start=1):
        contours = DicomSequence([_contour(points, kind, decimals) for points in drawn])
        drawings.append(_item(ReferencedROINumber=number, ContourSequence=contours))
    dataset.ROIContourSequence = DicomSequence(drawings)
    return dataset


def _contour(points_ras: np.ndarray, kind: str, decimals: int) -> Dataset:
    points_lps = np.asarray(points_ras) * [-1, -1, 1]
    texts = [f"{value:.{decimals}f}" for value in points_lps.ravel()]
    return _item(ContourGeometricType=kind, NumberOfContourPoints=len(points_lps), ContourData=texts)


def _item(**attributes: object) -> Dataset:
    item = Dataset()
    for name, value in attributes.items():
        setattr(item, name, value)
    return item
