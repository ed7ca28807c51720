"""A label as DICOM RTSTRUCT, for programs of radiotherapy: the outlines of each structure in each slice."""

import datetime
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import UID, ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid

from activelabel import __version__
from activelabel.data.dicom.frames import Frame, stacked_frames
from activelabel.data.grids import Grid, axis_order
from activelabel.data.labels.label_map import label_map_of
from activelabel.data.volumes import read_volume
from activelabel.errors import InvalidInputError

LEVEL = 0.51
"""Where an outline runs between a voxel of the structure (1) and one outside (0): 0.49 voxels from the first.

The true border is at one half. Programs that round outlines to whole voxels would then take some voxels of the outside.
"""
_COLOURS = ((221, 130, 101), (157, 108, 162), (185, 102, 83), (216, 191, 90), (111, 184, 210), (144, 238, 144))
_LONGEST_TEXT = 64  # characters of a DICOM long string
_SHORT = 16  # characters of a DICOM short string
_OF_THE_STUDY = (
    "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName",
    "StudyDescription", "PatientID", "PatientName", "PatientBirthDate", "PatientSex",
)  # fmt: skip
_REQUIRED = ("SeriesInstanceUID", "StudyInstanceUID", "SOPInstanceUID", "SOPClassUID", "FrameOfReferenceUID")

Mask = NDArray[np.bool_]


def write_rtstruct(
    label: Path, series: Path, names: Sequence[str], uid: str, author: str, made: datetime.datetime
) -> FileDataset | None:
    """A label as RTSTRUCT; each structure that occurs is a region of interest (ROI) of its name. They may overlap.

    A structure with holes has the contours of the holes as well, and all its contours are of the type
    CLOSEDPLANAR_XOR (DICOM PS3.3 C.8.8.6.3); others are CLOSED_PLANAR. Ignored voxels are no structure.

    Args:
        label: a file on the grid of the series.
        series: folder with the DICOM files of the image.
        names: the label map, or the names of the values 1..N.
        uid: identifier of the new series and of its one instance.
        author: the name of the label's author.
        made: when the label was drawn.

    Returns:
        The RTSTRUCT; None if no structure occurs.

    Raises:
        InvalidInputError: `label` or `series` cannot be read, or their voxels differ; or the series lacks attributes.
    """
    drawn, labels = read_volume(label), label_map_of(names)
    frames, affine_ras = stacked_frames(series)
    grid = Grid((int(frames[0].header.Columns), int(frames[0].header.Rows), len(frames)), affine_ras)
    order = axis_order(drawn.grid, grid)
    if order is None:
        raise InvalidInputError(
            f"{label.name}: it does not lie on the voxels of its series: export it on the image itself"
        )
    for name in _REQUIRED:
        if not frames[0].header.get(name):
            raise InvalidInputError(f"{label.name}: no RTSTRUCT can be made of it: its series has no {name}")
    values = order.apply(drawn.array.astype(np.uint16))
    present = [(place, name, mask) for place, (name, mask) in enumerate(labels.structures(values)) if mask.any()]
    if not present:
        return None
    dataset = _described(frames, uid, author, made)
    _add_structures(dataset, present, frames, grid)
    return dataset


def outlines(mask: Mask) -> list[NDArray[np.float64]]:
    """The closed outlines (N, 2) of a slice's mask, outer ones and those of holes, in indices of its voxels.

    A voxel's centre is enclosed by an odd number of outlines exactly if it belongs to the mask. No outline repeats its
    first corner at its end.
    """
    from skimage.measure import find_contours  # takes a second to import

    found = find_contours(np.pad(mask, 1).astype(np.float64), LEVEL)
    return [np.asarray(outline[:-1] - 1) for outline in found]


def _described(frames: Sequence[Frame], uid: str, author: str, made: datetime.datetime) -> FileDataset:
    """The object without structures: patient, study, and the images to which it refers."""
    header = frames[0].header
    header.decode()
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = RTStructureSetStorage, UID(uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.is_little_endian, dataset.is_implicit_VR = True, False
    dataset.SpecificCharacterSet = "ISO_IR 192"
    for name in _OF_THE_STUDY:
        setattr(dataset, name, header.get(name, ""))
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.SeriesInstanceUID = RTStructureSetStorage, UID(uid), UID(uid)
    dataset.Modality, dataset.SeriesNumber, dataset.SeriesDescription = "RTSTRUCT", 301, "Structures (activelabel)"
    dataset.Manufacturer, dataset.ManufacturerModelName = "activelabel", "activelabel"
    dataset.SoftwareVersions, dataset.OperatorsName = __version__, _text(author)
    dataset.StructureSetLabel = "activelabel"
    dataset.StructureSetDate, dataset.StructureSetTime = made.strftime("%Y%m%d"), made.strftime("%H%M%S")
    dataset.ApprovalStatus = "UNAPPROVED"
    of_series = _item(
        SeriesInstanceUID=header.SeriesInstanceUID,
        ContourImageSequence=DicomSequence(_image(frame) for frame in _by_file(frames)),
    )
    of_study = _item(
        ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1",  # the retired class of studies, which the standard asks for
        ReferencedSOPInstanceUID=header.StudyInstanceUID,
        RTReferencedSeriesSequence=DicomSequence([of_series]),
    )
    frame_of_reference = _item(
        FrameOfReferenceUID=header.FrameOfReferenceUID, RTReferencedStudySequence=DicomSequence([of_study])
    )
    dataset.FrameOfReferenceUID = header.FrameOfReferenceUID
    dataset.PositionReferenceIndicator = ""
    dataset.ReferencedFrameOfReferenceSequence = DicomSequence([frame_of_reference])
    return dataset


def _add_structures(
    dataset: FileDataset,
    structures: Sequence[tuple[int, str, Mask]],
    frames: Sequence[Frame],
    grid: Grid,
) -> None:
    regions, drawings, observations = [], [], []
    for number, (place, name, mask) in enumerate(structures, start=1):
        regions.append(
            _item(
                ROINumber=number,
                ReferencedFrameOfReferenceUID=dataset.FrameOfReferenceUID,
                ROIName=_text(name),
                ROIGenerationAlgorithm="",
            )
        )
        drawings.append(
            _item(
                ReferencedROINumber=number,
                ROIDisplayColor=list(_COLOURS[place % len(_COLOURS)]),
                ContourSequence=DicomSequence(_contours(mask, frames, grid)),
            )
        )
        observations.append(
            _item(
                ObservationNumber=number,
                ReferencedROINumber=number,
                ROIObservationLabel=_text(name)[:_SHORT],
                RTROIInterpretedType="",
                ROIInterpreter="",
            )
        )
    dataset.StructureSetROISequence = DicomSequence(regions)
    dataset.ROIContourSequence = DicomSequence(drawings)
    dataset.RTROIObservationsSequence = DicomSequence(observations)


def _contours(mask: Mask, frames: Sequence[Frame], grid: Grid) -> Iterator[Dataset]:
    """The contours of a structure, each with the image on which it lies."""
    drawn = {index: outlines(mask[:, :, index]) for index in np.flatnonzero(mask.any(axis=(0, 1)))}
    has_holes = any(_encloses_another(found) for found in drawn.values())
    kind = "CLOSEDPLANAR_XOR" if has_holes else "CLOSED_PLANAR"
    for index, found in drawn.items():
        for outline in found:
            corners = np.column_stack([outline, np.full(len(outline), index)])
            points_lps = (corners @ grid.affine_ras[:3, :3].T + grid.affine_ras[:3, 3]) * [-1, -1, 1]
            yield _item(
                ContourImageSequence=DicomSequence([_image(frames[index])]),
                ContourGeometricType=kind,
                NumberOfContourPoints=len(points_lps),
                ContourData=[f"{value:.4f}" for value in points_lps.ravel()],
            )


def _encloses_another(found: Sequence[NDArray[np.float64]]) -> bool:
    """Whether some outline of a slice is that of a hole: those run the other way round."""
    areas = [float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) for x, y in (outline.T for outline in found)]
    return min(areas) < 0 < max(areas)


def _by_file(frames: Sequence[Frame]) -> list[Frame]:
    return list({frame.file: frame for frame in frames}.values())


def _image(frame: Frame) -> Dataset:
    item = _item(ReferencedSOPClassUID=frame.header.SOPClassUID, ReferencedSOPInstanceUID=frame.header.SOPInstanceUID)
    if int(frame.header.get("NumberOfFrames") or 1) > 1:
        item.ReferencedFrameNumber = frame.index + 1
    return item


def rtstruct_uid(label_sha256: str, series_uid: str) -> str:
    """The identifier of the RTSTRUCT of a label, always the same for the same content."""
    return str(generate_uid(entropy_srcs=["rtstruct", series_uid, label_sha256]))


def _item(**attributes: object) -> Dataset:
    item = Dataset()
    for name, value in attributes.items():
        setattr(item, name, value)
    return item


def _text(text: str) -> str:
    """The text without backslashes, which would separate two values in DICOM."""
    return text.replace("\\", "/")[:_LONGEST_TEXT]
