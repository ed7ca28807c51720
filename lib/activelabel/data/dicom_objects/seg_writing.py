"""A label as DICOM SEG, for the other viewers of a PACS, by highdicom."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
from highdicom.content import AlgorithmIdentificationSequence
from highdicom.seg import SegmentAlgorithmTypeValues, SegmentationTypeValues, SegmentDescription
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import generate_uid

from activelabel import __version__
from activelabel.data.dicom.frames import Frame, stacked_frames
from activelabel.data.dicom_objects.source_images import long_string, plane_position, source_images
from activelabel.data.grids import Grid, axis_order
from activelabel.data.labels.label_map import IGNORE, LabelMap, label_map_of
from activelabel.data.volumes import read_volume
from activelabel.errors import InvalidInputError

_COLOURS = ((221, 130, 101), (157, 108, 162), (185, 102, 83), (216, 191, 90), (111, 184, 210), (144, 238, 144))
_CATEGORY = Code("123037004", "SCT", "Anatomical Structure")
_ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")
_KNOWN: tuple[tuple[Code, Any], ...] = ((_CATEGORY, codes.cid7192), (_ABNORMAL, codes.cid7159))
"""DICOM's context groups of anatomical structures and of lesions, by category."""
_FAMILY = Code("123110", "DCM", "Artificial Intelligence")
_SERIES_NUMBER = 300


def write_seg(
    label: Path, series: Path, names: Sequence[str], uid: str, author: str, model_version: int | None = None
) -> FileDataset | None:
    """A label as DICOM SEG; each structure that occurs is a segment of its name, and so is what is ignored.

    Segments overlap where structures do.
    If DICOM lists a structure of exactly a segment's name, the segment has its SNOMED CT code, else a code of our own.
    Its tracking identifier is the same in every label of the image.

    Args:
        label: a file on the grid of the series.
        series: folder with the DICOM files of the image.
        names: the label map, or the names of the values 1..N.
        uid: identifier of the new series and of its one instance.
        author: the name of the label's author.
        model_version: the model that drew the label, if no annotator changed it.

    Returns:
        The SEG; None for an empty label, which SEG cannot hold.

    Raises:
        InvalidInputError: `label` or `series` cannot be read, or their voxels differ; or the series lacks attributes.
    """
    drawn = read_volume(label)
    values, labels = drawn.array.astype(np.uint16), label_map_of(names)
    present = [(number, name, mask) for number, name, mask in _structures(values, labels) if mask.any()]
    if not present:
        return None
    frames, affine_ras = stacked_frames(series)
    grid = Grid((int(frames[0].header.Columns), int(frames[0].header.Rows), len(frames)), affine_ras)
    order = axis_order(drawn.grid, grid)
    if order is None:
        raise InvalidInputError(
            f"{label.name}: it does not lie on the voxels of its series: export it on the image itself"
        )
    segments = [
        _segment(number, place, name, str(frames[0].header.get("SeriesInstanceUID")), model_version)
        for number, (place, name, _) in enumerate(present, start=1)
    ]
    masks = [order.apply(mask.astype(np.uint8)) for _, _, mask in present]
    if labels.overlaps:
        pixels = np.stack(masks, axis=-1)
    else:
        pixels = np.zeros(grid.shape, dtype=np.uint8 if len(masks) < 256 else np.uint16)
        for number, mask in enumerate(masks, start=1):
            pixels[mask > 0] = number
    try:
        seg = _made(frames, pixels, segments, uid, author)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidInputError(f"{label.name}: no SEG can be made of it for this series: {error}") from error
    return seg


def _structures(values: NDArray[np.uint16], labels: LabelMap) -> Iterator[tuple[int, str, NDArray[np.bool_]]]:
    """The place in the label map, counted from 1, the name and the voxels of each structure and of what is ignored."""
    for place, (name, mask) in enumerate(labels.structures(values), start=1):
        yield place, name, mask
    yield len(labels) + 1, IGNORE, ~labels.judged(values)


def _made(
    frames: Sequence[Frame], drawn: NDArray[Any], segments: Sequence[SegmentDescription], uid: str, author: str
) -> FileDataset:
    """The SEG of segment numbers (W, H, D) on these frames, or of one mask for each segment (W, H, D, segments)."""
    sources = source_images(frames)
    pixels = np.ascontiguousarray(np.swapaxes(drawn, 0, 2))
    several = len(sources) == 1 and len(frames) > 1
    seg = highdicom.seg.Segmentation(
        source_images=sources,
        pixel_array=pixels,
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=segments,
        series_instance_uid=uid,
        series_number=_SERIES_NUMBER,
        sop_instance_uid=uid,
        instance_number=1,
        manufacturer="activelabel",
        manufacturer_model_name="activelabel",
        software_versions=__version__,
        device_serial_number="1",
        content_label="SEGMENTATION",
        content_description="Label of an annotator",
        # In a file of many frames, only frames with something drawn are referenced, in the order of their places.
        plane_positions=[plane_position(frame) for frame in frames] if several else None,
    )
    seg.SpecificCharacterSet = "ISO_IR 192"
    seg.SeriesDescription = "Segmentation (activelabel)"
    seg.ContentCreatorName = long_string(author)
    return seg


def _segment(number: int, place: int, name: str, series_uid: str, model_version: int | None) -> SegmentDescription:
    category, kind = _meaning(name, place)
    by_model = None
    if model_version is not None:
        by_model = AlgorithmIdentificationSequence("activelabel", _FAMILY, f"{__version__}, model {model_version}")
    automatic, manual = SegmentAlgorithmTypeValues.AUTOMATIC, SegmentAlgorithmTypeValues.MANUAL
    segment = SegmentDescription(
        segment_number=number,
        segment_label=long_string(name),
        segmented_property_category=category,
        segmented_property_type=kind,
        algorithm_type=manual if by_model is None else automatic,
        algorithm_identification=by_model,
        tracking_uid=generate_uid(entropy_srcs=["activelabel tracking", series_uid, name]),
        tracking_id=long_string(name),
    )
    segment.SegmentDescription = long_string(name)
    segment.RecommendedDisplayCIELabValue = cielab(_COLOURS[(place - 1) % len(_COLOURS)])
    return segment


def _meaning(name: str, place: int) -> tuple[Code, Code]:
    """Category and type of a structure: those of DICOM if DICOM knows its name, else a type of our own."""
    keyword = "".join(word[:1].upper() + word[1:].lower() for word in re.split(r"[^A-Za-z0-9]+", name))
    for category, known in _KNOWN if name.isascii() and keyword else ():
        found = getattr(known, keyword, None)
        if isinstance(found, Code) and found.scheme_designator == "SCT":
            return category, found
    return _CATEGORY, Code(str(place), "99ACTIVELABEL", long_string(name))


def cielab(colour: tuple[int, int, int]) -> list[int]:
    """A colour of a screen (sRGB, 0 to 255) as DICOM stores it: CIELab, each from 0 to 65535 (PS3.3 C.10.7.1.1)."""
    shares = np.array(colour) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    ratio = to_xyz @ linear / np.array([0.95047, 1.0, 1.08883])
    cube = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    lightness, a, b = 116 * cube[1] - 16, 500 * (cube[0] - cube[1]), 200 * (cube[1] - cube[2])
    return [round(lightness / 100 * 65535), round((a + 128) / 255 * 65535), round((b + 128) / 255 * 65535)]
