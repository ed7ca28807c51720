"""DICOM SEG, the format of other viewers of a PACS, as a label on the grid of its image.

Three kinds are read (DICOM PS3.3 C.8.20.2.3): BINARY, one bit for each voxel and segment, where segments may overlap;
FRACTIONAL, a share for each voxel and segment; LABELMAP (Supplement 243), a number for each voxel.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import SegmentationStorage

from activelabel.data.dicom_objects.seg_frames import stored_frames
from activelabel.data.dicom_objects.structures import DAMAGED, Structure, one_label
from activelabel.data.grids import TOLERANCE_VOXELS, Grid
from activelabel.data.segmentations import NamedLabel
from activelabel.errors import InvalidInputError

LABELMAP_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"
_KINDS = {SegmentationStorage: ("BINARY", "FRACTIONAL"), LABELMAP_STORAGE: ("LABELMAP",)}
_BACKGROUND_CODE = ("125040", "DCM")
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])

Pixels = NDArray[np.unsignedinteger[Any]]


def read_seg(seg: Dataset, image: Grid, wanted: Sequence[str] | None = None, origin: str = "SEG") -> NamedLabel:
    """Put a SEG back on the grid of its image. A SEG holds only slices that are not empty; the others are background.

    A share above one half counts as the structure. Of the places that the image's header gives, the first that fits
    counts.

    Args:
        seg: the object.
        image: the grid that was drawn on.
        wanted: label names; where two of these overlap, the later one counts.
        origin: the beginning of an error.

    Raises:
        InvalidInputError: it is no SEG, is damaged, holds less than it claims, does not lie on the image's voxels, has
            values of no segment, or has overlapping segments that are not `wanted`.
    """
    kind = str(seg.get("SegmentationType") or "")
    if kind not in _KINDS.get(str(seg.get("SOPClassUID")), ()):
        raise InvalidInputError(
            f"{origin}: expected a SEG (BINARY, FRACTIONAL or LABELMAP), got {kind or 'another kind of object'}"
        )
    problem: InvalidInputError | None = None
    for affine_ras in (image.affine_ras, *image.other_affines):
        try:
            structures = _structures(seg, kind, Grid(image.shape, affine_ras), origin)
            return one_label(origin, structures, image.shape, wanted)
        except DAMAGED as error:
            raise InvalidInputError(f"{origin}: damaged or incomplete ({type(error).__name__}: {error})") from error
        except InvalidInputError as error:
            problem = problem or error
    assert problem is not None
    raise problem


def _structures(seg: Dataset, kind: str, image: Grid, origin: str) -> list[Structure]:
    names = {int(item.SegmentNumber): str(item.SegmentLabel) for item in seg.SegmentSequence}
    background = _background(seg) if kind == "LABELMAP" else frozenset()
    found = defaultdict[int, list[NDArray[np.intp]]](list)
    shared = (seg.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    for pixels, own in zip(stored_frames(seg, origin), seg.PerFrameFunctionalGroupsSequence, strict=True):
        segments = _SEGMENTS[kind](seg, pixels, own, shared)
        affine_ras = _frame_affine(own, shared)
        for number, mask in segments:
            if number in background or not mask.any():
                continue
            if number not in names:
                raise InvalidInputError(
                    f"{origin}: {np.count_nonzero(mask)} voxels are of segment {number}, which it does not list"
                )
            found[number].append(_voxels(mask, affine_ras, image, origin))
    return [
        Structure(name, np.unique(np.concatenate(found[number])) if number in found else np.array([], dtype=np.intp))
        for number, name in names.items()
    ]


def _background(seg: Dataset) -> frozenset[int]:
    """Values of a label map for background: the declared one, else 0, and those of segments called background."""
    padding = seg.get("PixelPaddingValue")
    called = {
        int(item.SegmentNumber)
        for item in seg.SegmentSequence
        for code in item.get("SegmentedPropertyTypeCodeSequence") or ()
        if (str(code.get("CodeValue")), str(code.get("CodingSchemeDesignator"))) == _BACKGROUND_CODE
    }
    return frozenset({int(padding) if padding is not None else 0, *called})


Segments = Iterator[tuple[int, NDArray[np.bool_]]]


def _binary(seg: Dataset, pixels: Pixels, own: Dataset, shared: Dataset) -> Segments:
    yield _segment_number(own, shared), pixels != 0


def _fractional(seg: Dataset, pixels: Pixels, own: Dataset, shared: Dataset) -> Segments:
    most = int(seg.MaximumFractionalValue)
    if most < 1:
        raise ValueError(f"MaximumFractionalValue is {most}")
    # Some programs round half of an odd number up, so that two segments that share a voxel would both exceed one half.
    rounded = most % 2 if most > 1 else 0
    yield _segment_number(own, shared), pixels.astype(np.int64) * 2 > most + rounded


def _label_map(seg: Dataset, pixels: Pixels, own: Dataset, shared: Dataset) -> Segments:
    for number in np.unique(pixels):
        yield int(number), pixels == number


_SEGMENTS: Mapping[str, Callable[[Dataset, Pixels, Dataset, Dataset], Segments]] = {
    "BINARY": _binary,
    "FRACTIONAL": _fractional,
    "LABELMAP": _label_map,
}


def _segment_number(own: Dataset, shared: Dataset) -> int:
    return int(_group(own, shared, "SegmentIdentificationSequence").ReferencedSegmentNumber)


def _group(own: Dataset, shared: Dataset, name: str) -> Dataset:
    """A functional group of one frame, or the shared one."""
    return own[name][0] if name in own else shared[name][0]


def _frame_affine(own: Dataset, shared: Dataset) -> NDArray[np.float64]:
    """The affine (4, 3) from (column, row, 1) of a frame to RAS millimetres."""
    orientation = np.array(_group(own, shared, "PlaneOrientationSequence").ImageOrientationPatient, dtype=np.float64)
    between_rows, between_columns = map(float, _group(own, shared, "PixelMeasuresSequence").PixelSpacing)
    position = np.array(_group(own, shared, "PlanePositionSequence").ImagePositionPatient, dtype=np.float64)
    affine_lps = np.zeros((4, 3))
    affine_lps[:3] = np.stack([orientation[:3] * between_columns, orientation[3:] * between_rows, position], axis=1)
    affine_lps[3, 2] = 1
    return np.asarray(_LPS @ affine_lps)


def _voxels(mask: NDArray[np.bool_], affine_ras: NDArray[np.float64], image: Grid, origin: str) -> NDArray[np.intp]:
    """The pixels of one frame as indices into the flattened image."""
    steps = np.abs(image.to_voxels(affine_ras[:, :2]))[:3]
    rows, columns = np.nonzero(mask)
    found = image.to_voxels(affine_ras @ np.stack([columns, rows, np.ones_like(rows)]))[:3]
    voxels = np.rint(found).astype(np.intp)
    outside = (voxels < 0) | (voxels >= np.array(image.shape)[:, None])
    one_voxel_each = np.allclose(np.sort(steps, axis=0), [[0, 0], [0, 0], [1, 1]], atol=TOLERANCE_VOXELS)
    if not one_voxel_each or outside.any() or np.abs(found - voxels).max(initial=0) > TOLERANCE_VOXELS:
        raise InvalidInputError(
            f"{origin}: its frames do not lie on the voxels of its image: make it on the image itself"
        )
    return np.asarray(np.ravel_multi_index((voxels[0], voxels[1], voxels[2]), image.shape))
