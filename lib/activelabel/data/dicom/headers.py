"""The headers of a series' files, and what in them keeps the series from being read as one volume of grey values."""

from collections.abc import Sequence
from pathlib import Path

from pydicom.dataset import Dataset, FileDataset

from activelabel.data.dicom.guard import check_file, open_object
from activelabel.errors import InvalidInputError


def read_header(path: Path) -> FileDataset:
    """The attributes of a DICOM file, without its voxels.

    Raises:
        InvalidInputError: it is no DICOM file, or damaged.
    """
    check_file(path)
    try:
        header = open_object(path, stop_before_pixels=True)
        for name in ("NumberOfFrames", "SamplesPerPixel"):
            header.get(name)  # is converted only now
        return header
    except Exception as error:  # a damaged file may raise anything: KeyError, struct.error, RecursionError
        raise InvalidInputError(f"{path.name}: cannot be read as DICOM ({error}): send the series again") from error


def check_meaning(series: str, path: Path, header: Dataset) -> None:
    """Refuse a file without grey values, or with values of another meaning than usual."""
    if "Rows" not in header:
        kind = getattr(header.get("SOPClassUID"), "name", "another kind of object")
        raise InvalidInputError(f"series {series}: {path.name} is no image ({kind}): take it out of the series")
    photometric = header.get("PhotometricInterpretation", "MONOCHROME2")
    if photometric == "MONOCHROME1":
        raise InvalidInputError(
            f"series {series}: {path.name} is MONOCHROME1 (low values are bright), expected MONOCHROME2 as in all "
            "other images: convert the series"
        )
    if photometric != "MONOCHROME2" or int(header.get("SamplesPerPixel", 1)) != 1:
        raise InvalidInputError(
            f"series {series}: {path.name} is {photometric}, expected one grey value a voxel (MONOCHROME2): export the "
            "images themselves, no picture of them"
        )
    if header.get("ModalityLUTSequence"):
        raise InvalidInputError(
            f"series {series}: {path.name} gives its values by a table (ModalityLUTSequence), expected RescaleSlope "
            "and RescaleIntercept: convert the series"
        )
    _check_bits(series, path, header)


def _check_bits(series: str, path: Path, header: Dataset) -> None:
    """Refuse values that do not lie in the lowest bits, as very old files have them: ITK and pydicom read others."""
    allocated, stored, high = (header.get(name) for name in ("BitsAllocated", "BitsStored", "HighBit"))
    if all(isinstance(bits, int) for bits in (allocated, stored, high)) and stored < allocated and high != stored - 1:
        raise InvalidInputError(
            f"series {series}: {path.name} has HighBit {high} where {stored} bits are stored (BitsStored), expected "
            f"{stored - 1}: convert the series"
        )


def check_one_place(series: str, headers: Sequence[tuple[Path, Dataset]]) -> None:
    """Refuse parts in different frames of reference, between which positions say nothing.

    Where each file has another, a program that replaces identifiers has lost them, and the positions hold.
    """
    frames = [str(header.get("FrameOfReferenceUID") or "") for _, header in headers]
    known = set(frames) - {""}
    if 1 < len(known) < len(headers):
        names = [
            next(path.name for (path, _), frame in zip(headers, frames, strict=True) if frame == uid)
            for uid in sorted(known)[:2]
        ]
        raise InvalidInputError(
            f"series {series}: it has {len(known)} frames of reference (FrameOfReferenceUID of {names[0]} and "
            f"{names[1]}), expected one, as nobody knows how its parts lie to each other: send each as a series of its "
            "own"
        )
