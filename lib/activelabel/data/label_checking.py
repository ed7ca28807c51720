"""Checking a label from an annotator before it is kept, and writing it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from activelabel.data.dicom_objects.labels import read_dicom_file
from activelabel.data.files.names import is_dicom
from activelabel.data.files.opening import WHOLE, Header, finite, open_header, open_stored
from activelabel.data.files.writing import write_atomically
from activelabel.data.grids import TOLERANCE_VOXELS, AxisOrder, Grid, label_order
from activelabel.data.labels.arrays import LabelArray, drawn_box, smallest_type
from activelabel.data.labels.label_map import LabelMap, label_map_of
from activelabel.data.labels.packing import packed_label
from activelabel.data.labels.segment_numbers import by_place
from activelabel.data.segmentations import place_segments, segments_of
from activelabel.data.volumes import regular_grid
from activelabel.errors import InvalidInputError

_DATA_OFFSET = 352  # of a NIfTI file without extensions
NEARLY_WHOLE = 1e-3
"""A value this near to a whole number counts as that number: some programs store labels as scaled numbers."""
_SCALED = 0.05
"""A scale moves values by hardly more; interpolated values lie anywhere between two whole numbers."""


@dataclass(frozen=True, eq=False)
class CheckedLabel:
    """A label on its image's grid: `array` (W, H, D) of values that the app's label map knows; 0 is background.

    In memory its axes have the order of the file, which for a NIfTI is that of Fortran.
    """

    array: LabelArray
    affine_ras: NDArray[np.float64]


def check_label(
    path: Path | str,
    image: Grid,
    names: Sequence[str],
    segment_names: Sequence[str] | None = None,
    segment_numbers: Sequence[int] | None = None,
    *,
    as_kept: bool = False,
) -> CheckedLabel:
    """Read the label at `path` and bring it to the grid of its image and to the values of the app.

    A label whose axes are those of the image, exchanged or reversed, as ITK may store it, is put back exactly; no label
    is ever resampled. Names in the file itself, as in 3D Slicer's segmentations, take precedence over all others.

    Args:
        path: a file as `read_label` reads it.
        image: the grid of the image that was annotated.
        names: the app's label map; or its label names, of which the first has value 1.
        segment_names: names of the values in the file: value v is the v-th name, even if an earlier segment is empty,
            as Slicer sends them. None: the values are already those of the map.
        segment_numbers: numbers that rise, which a client has given these segments, if they are not 1 to N: see
            `data.labels.segment_numbers`.
        as_kept: the file was written by this project on the grid that its image had, so its axes must still be those of
            the image. Otherwise the image's header was turned or mirrored since, and what was drawn on the voxels would
            lie mirrored on them.

    Raises:
        InvalidInputError: the file cannot be read; it lies on another grid than the image; a value is no whole number,
            or has no name; a segment name is unknown or comes twice; its values fit the numbers of the segments and
            their places, which differ.
    """
    path, labels = Path(path), label_map_of(names)
    label = read_label(path, image, labels, as_kept=as_kept)
    meant = label.names or (None if label.is_mapped else segment_names)
    if meant is None:
        values = _whole_values(path, label.array, labels.known)
    else:
        table, array = _value_table(path, labels, meant), label.array
        if segment_numbers and not label.names:
            array = by_place(path.name, whole_numbers(path, array), meant, segment_numbers)
        named = _whole_values(path, array, np.ones(len(table), dtype=bool))
        values = _checked_values(path, _mapped(table, named), labels, meant)
    return CheckedLabel(smallest_type(values, highest=labels.highest), image.affine_ras)


@dataclass(frozen=True, eq=False)
class FoundLabel:
    """The content of a label file, on its image's grid: `array` (W, H, D), and the names of its values.

    Values are whole numbers of some type if the file stores them so, else float32.
    `names[v - 1]` is the name of value v; empty if the file gives no names. If `is_mapped`, the values are already
    those of the app's label map.
    """

    array: NDArray[Any]
    names: tuple[str, ...]
    is_mapped: bool = False


def read_label(path: Path, image: Grid, wanted: Sequence[str] | None = None, *, as_kept: bool = False) -> FoundLabel:
    """Read a label and bring it to the grid of its image, without a check of its values.

    Args:
        path: a file with one of `data.files.names.ENDINGS`, or a DICOM SEG or RTSTRUCT (`.dcm`); a segmentation of 3D
            Slicer may cover only a part of the image.
        image: the grid of the image that was annotated.
        wanted: the app's label names, as `read_dicom_label` has them. If it is a map whose structures overlap,
            segments may overlap too.
        as_kept: see `check_label`.

    Raises:
        InvalidInputError: the file cannot be read, or does not lie on the voxels of the image.
    """
    if is_dicom(path.name):
        found = read_dicom_file(path, image, wanted)
        return FoundLabel(found.array, found.names, found.is_mapped)
    array, header = open_stored(path)
    segments = segments_of(path.name, header.fields)
    if segments is not None:
        part = regular_grid(path, header, smallest=1, kind="label")
        label = place_segments(path.name, array.reshape(*part.shape, header.layers), part, segments, image, wanted)
        return FoundLabel(label.array, label.names, label.is_mapped)
    if header.layers != 1:
        raise InvalidInputError(
            f"{path.name}: a voxel has {header.layers} values, expected one: export a label map, one value a voxel"
        )
    order = _order(path, header, image, as_kept=as_kept)
    return FoundLabel(order.apply(finite(path, array)), ())


def check_kept_grid(path: Path, image: Grid) -> None:
    """Check by the header alone that a label of this project still lies voxel by voxel on its image.

    Raises:
        InvalidInputError: the file cannot be read, or the header of the image has changed since it was drawn.
    """
    _order(path, open_header(path), image, as_kept=True)


def _order(path: Path, header: Header, image: Grid, *, as_kept: bool) -> AxisOrder:
    grid = regular_grid(path, header, smallest=1, kind="label")
    order = label_order(grid, image)
    if order is None:
        raise _elsewhere(path, grid, image)
    if as_kept and not order.changes_nothing:
        raise InvalidInputError(
            f"{path.name}: the axes of its image were turned or mirrored in the header since it was drawn: put the "
            "earlier file back"
        )
    return order


def write_label(path: Path, array: LabelArray, affine_ras: NDArray[np.float64]) -> None:
    """Write `array` (W, H, D) as a compressed NIfTI at `path`, completely or not at all.

    Raises:
        OSError: the folder is missing, read-only or full; what was at `path` is then still there.
    """
    write_atomically(path, label_file_of(array, affine_ras))


def label_file_of(array: LabelArray, affine_ras: NDArray[np.float64]) -> bytes:
    """The content of a compressed NIfTI of `array` (W, H, D); the same array and affine give the same bytes."""
    header = nibabel.Nifti1Header()  # alone: an image of nibabel's would set each of its fields several times
    header.set_data_dtype(array.dtype)
    header.set_data_shape(array.shape)
    header.set_xyzt_units("mm")
    # Both forms, so that ITK (which may look at the qform) and nibabel (the sform) put it at the same place.
    header.set_qform(affine_ras, code="scanner")
    header.set_sform(affine_ras, code="scanner")
    # The bytes of a file without extensions, as nibabel gives them in ten times as long.
    header["vox_offset"], header["scl_slope"], header["scl_inter"] = _DATA_OFFSET, 1, 0
    head = header.binaryblock
    return packed_label(head + bytes(_DATA_OFFSET - len(head)), np.asfortranarray(array, header.get_data_dtype()))


def _elsewhere(path: Path, label: Grid, image: Grid) -> InvalidInputError:
    if sorted(label.shape) != sorted(image.shape):
        return InvalidInputError(
            f"{path.name}: the label is {_size(label)} voxels, expected its image's {_size(image)}: "
            "export it on the grid of the image"
        )
    corners = image.corners()
    apart_mm = np.linalg.norm((label.affine_ras @ label.corners() - image.affine_ras @ corners)[:3], axis=0).max()
    return InvalidInputError(
        f"{path.name}: the label's affine is not its image's, their corners lie up to {apart_mm:.3g} mm apart, "
        f"expected less than {TOLERANCE_VOXELS} voxels: export it on the grid of the image"
    )


def _size(grid: Grid) -> str:
    return "x".join(str(length) for length in grid.shape)


def _value_table(path: Path, labels: LabelMap, segment_names: Sequence[str]) -> NDArray[np.int32]:
    """Position of a name, counted from 1 -> value of the app; below 0 for a name without a value of its own.

    Raises:
        InvalidInputError: a name is unknown, or comes twice.
    """
    values, known = [0], {**labels.shown_names, **labels.drawn_names}
    for position, name in enumerate(segment_names):
        if name not in known and name not in labels.names:
            raise InvalidInputError(
                f"{path.name}: '{name}' is not a label of this app: rename the segment to one of "
                f"{', '.join(labels.offered_names)}, or remove it"
            )
        if name in segment_names[:position]:
            raise InvalidInputError(f"{path.name}: two segments are called '{name}': merge them, or rename one")
        values.append(known.get(name, -position - 1))
    return np.array(values, dtype=np.int32)


def _mapped(table: NDArray[np.int32], values: NDArray[Any]) -> NDArray[Any]:
    """The entries of a table for values; mostly these are the values themselves."""
    return values if np.array_equal(table, np.arange(len(table))) else table[values]


def _checked_values(path: Path, values: NDArray[Any], labels: LabelMap, segment_names: Sequence[str]) -> NDArray[Any]:
    """The values, after a check that nothing is drawn as a structure without a value, or with a value of no structure.

    Raises:
        InvalidInputError: something is.
    """
    if (lowest := int(values.min(initial=0))) < 0:
        name = segment_names[-lowest - 1]
        own = ", ".join(str(value) for value in labels.values[labels.index(name)])
        raise InvalidInputError(
            f"{path.name}: '{name}' has no value of its own, because other structures have its values ({own}) too: "
            f"draw {', '.join(labels.offered_names)}"
        )
    if _are_known(values, labels.known):
        return values
    nameless = values[~labels.known[values]]
    raise _without_name(path, nameless[0], nameless.size, labels.known)


def whole_numbers(path: Path, array: NDArray[Any]) -> NDArray[Any]:
    """Label values as whole numbers, without the rounding of the scale with which they were stored.

    Whole numbers that were stored as such come back as they are.

    Raises:
        InvalidInputError: a value lies further than `NEARLY_WHOLE` from a whole number.
    """
    if array.dtype.kind in WHOLE:
        return array
    whole = np.rint(array)
    away = np.abs(array - whole)
    fractional = away > NEARLY_WHOLE
    count = int(np.count_nonzero(fractional))
    if not count:
        return np.asarray(whole, dtype=np.float32)
    example = np.format_float_positional(array[fractional][0], trim="-")
    causes = ["stored with a scale (save it as integers)", "resampled (use nearest neighbour only)"]
    if away.max() > _SCALED:
        causes.reverse()
    raise InvalidInputError(
        f"{path.name}: {count} voxels are no whole numbers, for example {example}, expected label values within "
        f"{NEARLY_WHOLE:g} of a whole number: the label was {causes[0]}, or {causes[1]}; export it again"
    )


def _whole_values(path: Path, array: NDArray[Any], known: NDArray[np.bool_]) -> NDArray[Any]:
    """The values of a file, of which `known` tells the allowed ones from 0 on.

    Raises:
        InvalidInputError: a value is no whole number, or is not allowed.
    """
    whole = whole_numbers(path, array)
    if whole.min(initial=0) < 0 or whole.max(initial=0) >= len(known):
        outside = whole[(whole < 0) | (whole >= len(known))]
    else:
        values = whole if whole.dtype.kind in WHOLE else whole.astype(np.uint16)
        if _are_known(values, known):
            return values
        outside = whole[~known[values]]
    raise _without_name(path, outside[0], outside.size, known)


def _are_known(values: NDArray[Any], known: NDArray[np.bool_]) -> bool:
    """Whether all values, of which none is beyond the table, are known; 0 always is."""
    return bool(known.all() or known[values[drawn_box(values)]].all())


def _without_name(path: Path, value: float, count: int, known: NDArray[np.bool_]) -> InvalidInputError:
    expected = f"0 to {len(known) - 1}" if known.all() else ", ".join(map(str, np.flatnonzero(known)))
    return InvalidInputError(
        f"{path.name}: value {value:g} in {count} voxels has no name, expected {expected}: name its segment, or remove "
        "it"
    )
