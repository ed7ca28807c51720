"""Labels as DICOM objects, SEG and RTSTRUCT, from a file or from a PACS."""

from collections.abc import Sequence
from pathlib import Path

from pydicom.dataset import Dataset

from activelabel.data.dicom.guard import check_file, open_object
from activelabel.data.dicom_objects.rtstruct import is_rtstruct, read_rtstruct
from activelabel.data.dicom_objects.seg import read_seg
from activelabel.data.files.guard import largest_file_bytes
from activelabel.data.grids import Grid
from activelabel.data.segmentations import NamedLabel
from activelabel.errors import InvalidInputError


def read_dicom_file(path: Path, image: Grid, wanted: Sequence[str] | None = None) -> NamedLabel:
    """A SEG or RTSTRUCT on the grid of its image.

    Args:
        path: the file.
        image: the grid that was drawn on.
        wanted: as `read_dicom_label` has it.

    Raises:
        InvalidInputError: the file is missing or no DICOM; as `read_dicom_label`.
    """
    if not path.is_file():
        raise InvalidInputError(f"{path.name}: there is no such file: check the name, or put the file there")
    size = path.stat().st_size
    if size > largest_file_bytes():
        raise InvalidInputError(f"{path.name}: it is {size:,} bytes long, expected {largest_file_bytes():,} at most")
    check_file(path)
    try:
        dataset = open_object(path)
    except Exception as error:  # a damaged file may raise anything
        raise InvalidInputError(
            f"{path.name}: cannot be read as DICOM ({type(error).__name__}: {error}): export it again"
        ) from error
    return read_dicom_label(dataset, image, wanted, path.name)


def read_dicom_label(
    dataset: Dataset, image: Grid, wanted: Sequence[str] | None = None, origin: str | None = None
) -> NamedLabel:
    """`read_dicom_file` for an object in memory.

    Args:
        dataset: a SEG or RTSTRUCT.
        image: the grid that was drawn on.
        wanted: the project's label names. Only these structures of an RTSTRUCT are read, and where two overlap, the one
            that is named later counts. None: all are read, and overlapping ones are refused.
        origin: the beginning of an error; default the kind of the object.

    Raises:
        InvalidInputError: it is no label, is damaged, or does not lie on the voxels of its image.
    """
    from activelabel.data.files.one_case import one_case  # it imports torch, which takes a second

    kind = "RTSTRUCT" if is_rtstruct(dataset) else "SEG"
    with one_case(origin or kind):
        if kind == "RTSTRUCT":
            return read_rtstruct(dataset, image, wanted, origin or kind)
        return read_seg(dataset, image, wanted, origin or kind)


def referenced_series(label: Dataset) -> tuple[str, ...]:
    """The series to which a SEG or RTSTRUCT refers, each once."""
    try:
        if is_rtstruct(label):
            series = [
                series
                for frame in label.get("ReferencedFrameOfReferenceSequence") or ()
                for study in frame.get("RTReferencedStudySequence") or ()
                for series in study.get("RTReferencedSeriesSequence") or ()
            ]
        else:
            series = list(label.get("ReferencedSeriesSequence") or ())
        return tuple(dict.fromkeys(str(item.SeriesInstanceUID) for item in series))
    except (AttributeError, TypeError, ValueError, OverflowError):  # an unreadable object refers to none
        return ()
