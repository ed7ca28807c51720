"""A DICOM series as voxels: its frames, a check that they form one regular volume, and their values.

One file may hold one slice, or many (enhanced CT and MR). A series that cannot be read correctly is refused with the
reason.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset

from activelabel.data.dicom.guard import check_together, check_values, open_object
from activelabel.data.dicom.headers import check_meaning, check_one_place, read_header
from activelabel.data.dicom.stack import Stack, check_stack
from activelabel.errors import InvalidInputError

SAME_DIRECTION = 2e-3
"""The largest distance of two unit vectors of one orientation: rounding to three decimals stays within it."""
_SAME_SPACING = 1e-3  # of the spacing
_DIFFERENT_VOLUMES = ("AcquisitionNumber", "TemporalPositionIdentifier", "EchoTime")
"""Attributes that tell apart the volumes of one series when each covers the same region."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One slice: its place in LPS millimetres, and the meaning of its stored values."""

    file: Path
    index: int
    header: Dataset
    position_mm: NDArray[np.float64]
    orientation: NDArray[np.float64]
    spacing_mm: NDArray[np.float64]
    slope: float
    intercept: float
    own: Dataset


def read_frames(folder: Path) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """The voxels (W, H, D) of the one series in a folder, and their affine in RAS.

    The first two axes run along a slice's rows and columns, the third along the normal of both.

    Raises:
        InvalidInputError: a file cannot be read, the folder holds no series or several, or the series is no regular
            volume of grey values; the line names the problem.
    """
    frames, affine_ras = stacked_frames(folder)
    return _voxels(folder, frames), affine_ras


def stacked_frames(folder: Path) -> tuple[list[Frame], NDArray[np.float64]]:
    """The frames of the one series in a folder in the order of their places, and the affine of their voxels in RAS.

    Raises:
        InvalidInputError: as `read_frames`, but for voxels that cannot be decoded.
    """
    headers = [(path, read_header(path)) for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    series = {str(header.get("SeriesInstanceUID")) for _, header in headers}
    if len(series) != 1:
        raise InvalidInputError(
            f"{folder.name}: the folder holds {len(series)} DICOM series, expected one: give each a folder of its own"
        )
    for path, header in headers:
        check_meaning(folder.name, path, header)
    check_together(folder.name, [check_values(path, header) for path, header in headers])
    frames = [frame for path, header in headers for frame in _frames(folder.name, path, header)]
    _check_alike(folder.name, frames)
    check_one_place(folder.name, headers)
    orientation = _unit_axes(np.mean([frame.orientation for frame in frames], axis=0))
    normal = np.cross(orientation[0], orientation[1])
    frames.sort(key=lambda frame: float(frame.position_mm @ normal))
    positions = np.array([frame.position_mm for frame in frames])
    groups = {name: [_value(frame, name) for frame in frames] for name in _DIFFERENT_VOLUMES}
    step = check_stack(folder.name, Stack(positions, normal, groups))
    rows, columns = orientation[0], orientation[1]
    between_rows, between_columns = np.mean([frame.spacing_mm for frame in frames], axis=0)
    affine_lps = np.eye(4)
    affine_lps[:3] = np.stack([rows * between_columns, columns * between_rows, step, positions[0]], axis=1)
    return frames, np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine_lps


def _frames(series: str, path: Path, header: FileDataset) -> Iterator[Frame]:
    """The slices of a file."""
    count = int(header.get("NumberOfFrames") or 1)
    per_frame = header.get("PerFrameFunctionalGroupsSequence")
    if per_frame is None:
        if count > 1:
            raise InvalidInputError(
                f"series {series}: {path.name} holds {count} frames and does not say where each lies: convert it to "
                "one file a slice"
            )
        yield _frame(series, path, 0, header, _flat(header, None))
        return
    if len(per_frame) != count:
        raise InvalidInputError(
            f"series {series}: {path.name} describes {len(per_frame)} of its {count} frames: send the series again"
        )
    shared = (header.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    for index, own in enumerate(per_frame):
        yield _frame(series, path, index, header, _flat(shared, own))


def _flat(shared: Dataset, own: Dataset | None) -> Dataset:
    """The attributes of a frame in one data set: its own functional groups take precedence over the shared ones."""
    if own is None:
        return shared
    found = Dataset()
    for groups in (shared, own):
        for group in groups:
            if group.VR == "SQ" and group.value:
                found.update(group.value[0])
    return found


_PLACE = "where its voxels lie"
_TOLD = dict.fromkeys(("RescaleSlope", "RescaleIntercept"), "what its values mean")


def _frame(series: str, path: Path, index: int, header: Dataset, attributes: Dataset) -> Frame:
    def numbers(name: str, count: int) -> NDArray[np.float64]:
        value = attributes.get(name)
        try:
            found = np.array([] if value is None else value, dtype=np.float64).reshape(-1)
        except (TypeError, ValueError):
            found = np.array([])
        if len(found) != count or not np.isfinite(found).all():
            raise InvalidInputError(
                f"series {series}: {path.name} has no {name} ({'nothing' if value is None else value}), expected "
                f"{count} number{'s' if count > 1 else ''}: without it nobody knows {_TOLD.get(name, _PLACE)}"
            )
        return found

    spacing_mm = numbers("PixelSpacing", 2)
    if spacing_mm.min() <= 0:
        raise InvalidInputError(f"series {series}: {path.name} has PixelSpacing {spacing_mm}, expected more than 0")
    orientation = numbers("ImageOrientationPatient", 6)
    if np.linalg.norm(np.cross(orientation[:3], orientation[3:])) < 0.5:
        raise InvalidInputError(
            f"series {series}: {path.name} has ImageOrientationPatient {orientation}, expected two directions at a "
            "right angle"
        )
    slope, intercept = (
        float(numbers(name, 1)[0]) if attributes.get(name) else default
        for name, default in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0))
    )
    position_mm = numbers("ImagePositionPatient", 3)
    return Frame(path, index, header, position_mm, orientation, spacing_mm, slope, intercept, attributes)


def _check_alike(series: str, frames: Sequence[Frame]) -> None:
    """Refuse slices that cannot form one volume; numbers that differ by rounding count as equal."""
    first = frames[0]
    for frame in frames[1:]:
        for name in ("Rows", "Columns"):
            _check_same(series, name, first.header.get(name), frame.header.get(name))
        apart = np.linalg.norm((frame.orientation - first.orientation).reshape(2, 3), axis=1).max()
        if apart > SAME_DIRECTION:
            _check_same(series, "ImageOrientationPatient", first.orientation.tolist(), frame.orientation.tolist())
        if np.abs(frame.spacing_mm / first.spacing_mm - 1).max() > _SAME_SPACING:
            _check_same(series, "PixelSpacing", first.spacing_mm.tolist(), frame.spacing_mm.tolist())


def _check_same(series: str, name: str, first: object, second: object) -> None:
    if first != second:
        raise InvalidInputError(
            f"series {series}: {name} differs between slices ({first}, {second}), expected one volume: send its parts "
            "as series of their own"
        )


def _value(frame: Frame, name: str) -> str | None:
    """The value of an attribute that tells volumes apart, from the frame's functional groups or from its file."""
    value: Any = frame.own.get({"TemporalPositionIdentifier": "TemporalPositionIndex"}.get(name, name))
    if value is None:
        value = frame.own.get(name, frame.header.get(name))
    return None if value is None else str(value)


def _unit_axes(orientation: NDArray[np.float64]) -> NDArray[np.float64]:
    """The directions of rows and columns, (2, 3), orthonormal and nearest to the given ones."""
    left, _, right = np.linalg.svd(orientation.reshape(2, 3), full_matrices=False)
    return np.asarray(left @ right)


def _voxels(folder: Path, frames: Sequence[Frame]) -> NDArray[np.float32]:
    """The values of the frames in their order: (W, H, D)."""
    count = defaultdict[Path, int](int)
    for frame in frames:
        count[frame.file] += 1
    if max(count.values()) == 1 and not any("PerFrameFunctionalGroupsSequence" in frame.header for frame in frames):
        read = _read_by_itk([str(frame.file) for frame in frames])
        if read is not None:
            return read
    stored = {path: _stored_values(folder.name, path, frames[0]) for path in count}
    array = np.stack([stored[frame.file][frame.index] * frame.slope + frame.intercept for frame in frames])
    return array.astype(np.float32).transpose()


def _read_by_itk(files: list[str]) -> NDArray[np.float32] | None:
    """The voxels of a series with one slice in each file. ITK applies the slope of each file, and decodes most
    compressions.

    None if ITK cannot read them: it knows other JPEGs than pydicom, but not every run-length compression.
    """
    import SimpleITK  # here, as few series need it

    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(files)
    reader.SetImageIO("GDCMImageIO")
    reader.SetOutputPixelType(SimpleITK.sitkFloat32)  # else the type follows the first file
    try:
        image = reader.Execute()
    except RuntimeError:
        return None
    return np.asarray(SimpleITK.GetArrayViewFromImage(image).transpose().astype(np.float32))


def _without_unused_bits(stored: NDArray[Any], header: Dataset) -> NDArray[Any]:
    """Values of the stored bits alone, which are the lowest: those above may hold an overlay, or lack the sign."""
    above = int(header.BitsAllocated) - int(header.get("BitsStored") or header.BitsAllocated)
    if stored.dtype.kind not in "iu" or not 0 < above < 8 * stored.dtype.itemsize:
        return stored
    return (stored << above) >> above


def _stored_values(series: str, path: Path, frame: Frame) -> NDArray[np.generic]:
    """All frames of a file with their stored values: (N, H, W)."""
    dataset = open_object(path)
    try:
        stored = np.asarray(dataset.pixel_array).reshape(-1, frame.header.Rows, frame.header.Columns)
        return _without_unused_bits(stored, dataset)
    except (AttributeError, NotImplementedError, RuntimeError, ValueError, EOFError, OSError) as error:
        syntax = getattr(dataset.file_meta.get("TransferSyntaxUID"), "name", "unknown")
        raise InvalidInputError(
            f"series {series}: the voxels of {path.name} cannot be decoded ({syntax}): store the series uncompressed"
        ) from error
