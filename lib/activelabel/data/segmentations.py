"""Segmentations of 3D Slicer (`.seg.nrrd`): the layer and value of each segment, and the place of its voxels.

The format is a NRRD file with fields `SegmentN_Name`, `SegmentN_LabelValue`, `SegmentN_Layer`. Several layers allow
segments to overlap. The file may hold only the part of the image with something drawn.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from activelabel.data.grids import TOLERANCE_VOXELS, Grid
from activelabel.data.labels.label_map import LabelMap
from activelabel.data.labels.overlapping import overlapping_values
from activelabel.errors import InvalidInputError

_SEGMENT = re.compile(r"Segment(?P<number>\d{1,9})_(ID|Name)")
_KIND_FIELDS = ("Segmentation_SourceRepresentation", "Segmentation_MasterRepresentation")


@dataclass(frozen=True)
class Segment:
    """A segment: the voxels with this `value` in this `layer`."""

    name: str
    value: int
    layer: int


@dataclass(frozen=True, eq=False)
class NamedLabel:
    """A label on its image's grid: value v of `array` (W, H, D) is `names[v - 1]`, 0 is background.

    Segments without a voxel are left out: Slicer also keeps segments that were never drawn. If `is_mapped`, the values
    are those of the project's label map instead, and there are no names.
    """

    array: NDArray[np.uint16]
    names: tuple[str, ...]
    is_mapped: bool = False


def segments_of(name: str, fields: Mapping[str, str]) -> tuple[Segment, ...] | None:
    """The segments in the fields of a NRRD file, by their numbers; None if it is no segmentation.

    A file from before Slicer 4.11 gives no values and layers: each segment has a layer of its own. `name` is the
    file's.

    Raises:
        InvalidInputError: a value or layer is no number, or the voxels hold shares instead of values.
    """
    numbers = sorted({int(found["number"]) for key in fields if (found := _SEGMENT.fullmatch(key))})
    if not numbers and not any(key.startswith("Segmentation_") for key in fields):
        return None
    for key in _KIND_FIELDS:
        if "fractional" in fields.get(key, "").lower():
            raise InvalidInputError(f"{name}: {key} is '{fields[key]}', expected 'Binary labelmap': convert it")
    return tuple(_segment(name, fields, number) for number in numbers)


def _segment(file: str, fields: Mapping[str, str], number: int) -> Segment:
    start = f"Segment{number}_"
    name = fields.get(f"{start}Name", "").strip() or fields.get(f"{start}ID", "").strip()
    try:
        value, layer = int(fields.get(f"{start}LabelValue", 1)), int(fields.get(f"{start}Layer", number))
    except ValueError as error:
        raise InvalidInputError(
            f"{file}: segment '{name}' has a damaged value or layer ({str(error)[:80]}): save it again"
        ) from error
    return Segment(name, value, layer)


def place_segments(
    name: str,
    layers: NDArray[np.float32],
    grid: Grid,
    segments: Sequence[Segment],
    image: Grid,
    labels: Sequence[str] | None = None,
) -> NamedLabel:
    """Put segments on the grid of their image; voxels beyond the file are background.

    Args:
        name: the name of the file.
        layers: (W, H, D, L), the voxels of the file.
        grid: the grid of the file. A single voxel stands for an empty segmentation, and its place does not count.
        segments: the segments that the file lists.
        image: the grid of the annotated image. Of the places that its header gives, the first that fits counts.
        labels: the project's labels. If they are a map whose structures overlap, segments may overlap too.

    Raises:
        InvalidInputError: a voxel has a value of no segment, lies between the image's voxels or outside of them, or is
            in two segments that exclude each other; or two segments of one name are drawn.
    """
    array = np.zeros(image.shape, dtype=np.uint16)
    drawn = np.nonzero(layers) if grid.shape != (1, 1, 1) else ()
    if not len(drawn) or not len(drawn[0]):
        return NamedLabel(array, ())
    place = tuple(_voxels(name, np.stack(drawn[:3]), grid, image))
    values = layers[drawn]
    if isinstance(labels, LabelMap) and labels.overlaps:
        return _joined(name, place, values, drawn[3], segments, image, labels)
    for position, segment in enumerate(segments, start=1):
        its = (drawn[3] == segment.layer) & (values == segment.value)
        own = tuple(axis[its] for axis in place)
        if array[own].any():
            raise InvalidInputError(
                f"{name}: segment '{segment.name}' overlaps another, expected one structure a voxel: separate them"
            )
        array[own] = position
        values = np.where(its, 0, values)
    _check_all_known(name, values)
    return _without_empty(array, [segment.name for segment in segments])


def _joined(
    name: str,
    place: tuple[NDArray[np.intp], ...],
    values: NDArray[np.float32],
    layers: NDArray[np.intp],
    segments: Sequence[Segment],
    image: Grid,
    labels: LabelMap,
) -> NamedLabel:
    """The values of overlapping segments in the label map."""
    drawn, flat = list[tuple[str, NDArray[np.intp]]](), np.ravel_multi_index(place, image.shape)
    for segment in segments:
        its = (layers == segment.layer) & (values == segment.value)
        drawn.append((segment.name, flat[its]))
        values = np.where(its, 0, values)
    _check_all_known(name, values)
    return NamedLabel(overlapping_values(name, drawn, image.shape, labels), (), is_mapped=True)


def _check_all_known(name: str, left: NDArray[np.float32]) -> None:
    nameless = left[left != 0]
    if len(nameless):
        raise InvalidInputError(
            f"{name}: value {nameless[0]:g} in {len(nameless)} voxels is no segment's: save it again"
        )


def _voxels(name: str, indices: NDArray[np.intp], grid: Grid, image: Grid) -> NDArray[np.intp]:
    """Indices (3, N) in the file as indices of the image."""
    problem = ""
    for affine_ras in (image.affine_ras, *image.other_affines):
        to_image = Grid(image.shape, affine_ras).to_voxels(grid.affine_ras)
        linear = np.rint(to_image[:3, :3])
        found = to_image[:3, :3] @ indices + to_image[:3, 3:]
        voxels = np.rint(found).astype(np.intp)
        one_to_one = np.array_equal(np.abs(linear) @ np.ones(3), np.ones(3)) and abs(np.linalg.det(linear)) > 0.5
        if not one_to_one or np.abs(found - voxels).max() > TOLERANCE_VOXELS:
            problem = problem or "its voxels do not lie on those of its image: draw it on the image itself"
        elif (voxels < 0).any() or (voxels >= np.array(image.shape)[:, None]).any():
            problem = problem or "something is drawn outside its image: cut it off"
        else:
            return voxels
    raise InvalidInputError(f"{name}: {problem}")


def _without_empty(array: NDArray[np.uint16], names: Sequence[str]) -> NamedLabel:
    drawn = np.unique(array[array > 0])
    kept = np.zeros(len(names) + 1, dtype=np.uint16)
    kept[drawn] = np.arange(1, len(drawn) + 1)
    return NamedLabel(kept[array], tuple(names[value - 1] for value in drawn))


def names_by_value(segments: Sequence[Segment]) -> Iterator[str]:
    """Names of segments in the order of layer and value, in which a project may number them."""
    for segment in sorted(segments, key=lambda segment: (segment.layer, segment.value)):
        yield segment.name
