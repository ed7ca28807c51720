"""DICOM RTSTRUCT, the contours of radiotherapy, as a label on the grid of its image.

Closed contours of one structure in one plane are combined by XOR, and points on a contour belong to its structure, as
DICOM has it. Programs that make contours from masks connect the centres of the outermost voxels, so a reader that
leaves these out would shrink every structure.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.uid import RTStructureSetStorage

from activelabel.data.dicom_objects.contours import Contour, enclosed, on_line
from activelabel.data.dicom_objects.structures import DAMAGED, Structure, one_label, wanted_names
from activelabel.data.grids import Grid
from activelabel.data.segmentations import NamedLabel
from activelabel.errors import InvalidInputError

MOST_POINTS = 2**24
"""The most points that all contours of an object may have: a hundred structures of a whole body have two million."""
OFF_PLANE_VOXELS = 0.25
"""The largest distance of a contour from its slice, in slices."""
_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
_KNOWN = (*_CLOSED, "POINT", "OPEN_PLANAR", "OPEN_NONPLANAR")
_LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])

Points = NDArray[np.float64]
"""The points of one contour: (N, 3)."""


def is_rtstruct(dataset: Dataset) -> bool:
    """Whether an object is an RTSTRUCT."""
    return bool(dataset.get("SOPClassUID") == RTStructureSetStorage)


def read_rtstruct(
    dataset: Dataset, image: Grid, wanted: Sequence[str] | None = None, origin: str = "RTSTRUCT"
) -> NamedLabel:
    """The structures of an RTSTRUCT on the grid of their image.

    A voxel belongs to a structure if its centre lies within the contours or on them. Structures with only points and
    open lines hold no voxel. Of the places that the image's header gives, the first that fits counts.

    Args:
        dataset: the RTSTRUCT.
        image: the grid that was drawn on.
        wanted: names of the structures to read, as an RTSTRUCT often has many more; None reads all. Where two overlap,
            the one that is named later counts.
        origin: the beginning of an error.

    Raises:
        InvalidInputError: it is damaged or too large; none of its structures is wanted; contours lie beside the slices
            of the image, outside it, or on every other slice only; structures overlap and none were named.
    """
    try:
        names = {
            int(item.ROINumber): str(item.get("ROIName") or "").strip() for item in dataset.StructureSetROISequence
        }
        chosen = wanted_names(origin, list(names.values()), wanted)
        points_ras = _contours(dataset, {number: name for number, name in names.items() if name in chosen}, origin)
    except DAMAGED as error:
        raise InvalidInputError(f"{origin}: damaged or incomplete ({type(error).__name__}: {error})") from error
    problem: InvalidInputError | None = None
    for affine_ras in (image.affine_ras, *image.other_affines):
        try:
            found = [
                _structure(names[number], contours, Grid(image.shape, affine_ras), origin)
                for number, contours in points_ras.items()
            ]
            return one_label(origin, found, image.shape, wanted)
        except InvalidInputError as error:
            problem = problem or error
    assert problem is not None
    raise problem


def _contours(dataset: Dataset, names: Mapping[int, str], origin: str) -> dict[int, list[Points]]:
    """The closed contours of each structure, in RAS millimetres, without duplicates within a structure."""
    found: dict[int, dict[bytes, Points]] = {number: {} for number in names}
    left = MOST_POINTS
    for item in dataset.ROIContourSequence:
        number = int(item.ReferencedROINumber)
        if number not in names:
            continue
        for contour in item.get("ContourSequence") or ():
            kind = str(contour.ContourGeometricType)
            if kind not in _KNOWN:
                raise InvalidInputError(
                    f"{origin}: structure '{names[number]}' has a contour of the type '{kind[:40]}', expected one of "
                    f"{', '.join(_KNOWN)}: export it again"
                )
            if kind in _CLOSED:
                points = _points(contour, left, f"{origin}: structure '{names[number]}'")
                left -= len(points)
                # A contour that is there twice would cancel itself.
                found[number][points.tobytes()] = points
    return {number: list(contours.values()) for number, contours in found.items()}


def _points(contour: Dataset, most: int, origin: str) -> Points:
    """The points of a contour, parsed without pydicom, which makes an object of each number."""
    element = contour.get_item("ContourData")
    value = element.value if isinstance(element, RawDataElement) else contour.ContourData
    texts = value.strip(b" \0").split(b"\\") if isinstance(value, bytes) else list(np.atleast_1d(value))
    count = int(contour.get("NumberOfContourPoints") or len(texts) // 3)
    if len(texts) != 3 * count or not texts:
        raise InvalidInputError(
            f"{origin} has a contour of {len(texts)} numbers, expected {3 * count} for its {count} points: export it "
            "again, with implicit VR if it is long"
        )
    if count > most:
        raise InvalidInputError(
            f"{origin}: contours of more than {MOST_POINTS:,} points, which is the most that is taken"
        )
    points = np.array(texts).astype(np.float64).reshape(-1, 3)
    if not np.isfinite(points).all():
        raise InvalidInputError(
            f"{origin} has a point that is no place ({points[~np.isfinite(points).all(axis=1)][0]})"
        )
    return np.asarray(points * _LPS_TO_RAS)


def _structure(name: str, contours_ras: Sequence[Points], image: Grid, origin: str) -> Structure:
    if not contours_ras:
        return Structure(name, np.array([], dtype=np.intp))
    origin = f"{origin}: structure '{name}'"
    to_image = image.to_voxels(np.eye(4))
    contours = [points @ to_image[:3, :3].T + to_image[:3, 3] for points in contours_ras]
    axis = _slice_axis(contours, origin)
    inside, edge = [], []
    try:
        for index, lines in _by_slice(contours, axis, image, origin):
            across = [size for number, size in enumerate(image.shape) if number != axis]
            filled, marked = (draw(lines, (across[0], across[1])) for draw in (enclosed, on_line))
            inside.append(_flat(filled, index, axis, image))
            edge.append(_flat(marked & ~filled, index, axis, image))
    except InvalidInputError as error:
        raise error if str(error).startswith(origin) else InvalidInputError(f"{origin}: {error}") from error
    return Structure(name, np.sort(np.concatenate(inside)), np.sort(np.concatenate(edge)))


def _slice_axis(contours: Sequence[Points], origin: str) -> int:
    """The axis of the image across which all contours are drawn; the last that fits, as small contours fit several."""
    spreads = np.array([np.ptp(points, axis=0) for points in contours]).max(axis=0)
    fitting = np.flatnonzero(spreads <= OFF_PLANE_VOXELS)
    if not len(fitting):
        raise InvalidInputError(
            f"{origin} is drawn across the slices of the image (its contours reach over {spreads.min():.3g} slices), "
            "expected each contour in one: was it drawn on another series?"
        )
    return int(fitting[-1])


def _by_slice(contours: Sequence[Points], axis: int, image: Grid, origin: str) -> Iterator[tuple[int, list[Contour]]]:
    """The slices with contours, each with the contours' corners along the two other axes."""
    found = defaultdict[int, list[Contour]](list)
    size, across = image.shape[axis], [number for number in range(3) if number != axis]
    for points in contours:
        height = float(points[:, axis].mean())
        index = round(height)
        if np.abs(points[:, axis] - index).max() > OFF_PLANE_VOXELS:
            raise InvalidInputError(
                f"{origin} has a contour between two slices of the image (at {height:.3g}, counted from 0), expected "
                f"less than {OFF_PLANE_VOXELS} from one: was it drawn on another series?"
            )
        corners = points[:, across]
        # Contours up to one voxel beyond the outermost slices enclose no centre that would be lost.
        sides = np.array([image.shape[number] for number in across])
        if not 0 <= index < size or (corners <= -1).any() or (corners >= sides).any():
            raise InvalidInputError(
                f"{origin} is drawn outside its image ({'x'.join(map(str, image.shape))} voxels): cut it off, or was "
                "it drawn on another series?"
            )
        found[index].append(corners)
    slices = sorted(found)
    if len(slices) > 1 and min(np.diff(slices)) > 1:
        raise InvalidInputError(
            f"{origin} has contours on {len(slices)} slices of which no two are neighbours (the first {slices[0]} and "
            f"{slices[1]}), expected every slice that it runs through: interpolate it where it was drawn"
        )
    yield from sorted(found.items())


def _flat(pixels: NDArray[np.bool_], index: int, axis: int, image: Grid) -> NDArray[np.intp]:
    """The pixels of a slice as indices into the flattened image."""
    place: list[NDArray[np.intp]] = list(np.nonzero(pixels))
    place.insert(axis, np.full(len(place[0]), index))
    return np.asarray(np.ravel_multi_index((place[0], place[1], place[2]), image.shape))
