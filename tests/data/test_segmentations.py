"""Segmentations as 3D Slicer writes them, with headers made by hand after its description of the format."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from activelabel.data.grids import Grid
from activelabel.data.label_checking import check_label
from activelabel.data.labels.label_texts import parse_labels
from activelabel.data.segmentations import segments_of
from activelabel.data.volumes import read_grid
from activelabel.errors import InvalidInputError

SHAPE = (9, 8, 7)
IMAGE = Grid(SHAPE, np.array([[-2.0, 0, 0, 10], [0, -2, 0, 20], [0, 0, 3, 30], [0, 0, 0, 1]]))
NAMES = ["liver", "spleen", "tumour"]


def write(path: Path, layers: np.ndarray, fields: dict[str, object], start: tuple[int, int, int] = (0, 0, 0)) -> Path:
    """Write `layers` (L, W, H, D) that begin at voxel `start` of the image."""
    origin = (IMAGE.affine_ras @ [*start, 1])[:3] * (-1, -1, 1)
    several = len(layers) > 1
    lines = [
        "NRRD0004",
        "type: unsigned char",
        f"dimension: {4 if several else 3}",
        "space: left-posterior-superior",
        f"sizes: {f'{len(layers)} ' if several else ''}{' '.join(map(str, layers.shape[1:]))}",
        f"space directions: {'none ' if several else ''}(2,0,0) (0,2,0) (0,0,3)",
        f"kinds: {'list ' if several else ''}domain domain domain",
        "encoding: gzip",
        f"space origin: ({','.join(f'{value:g}' for value in origin)})",
        *(f"{key}:={value}" for key, value in fields.items()),
        "",
        "",
    ]
    path.write_bytes("\n".join(lines).encode() + gzip.compress(layers.astype(np.uint8).tobytes(order="F")))
    return path


def segment(number: int, name: str, **fields: Any) -> dict[str, object]:
    keys = {"ID": f"Segment_{number + 1}", "Name": name, "Extent": "0 8 0 7 0 6", **fields}
    return {f"Segment{number}_{key}": value for key, value in keys.items()}


def drawn(**boxes: tuple[slice, slice, slice]) -> np.ndarray:
    """Return the expected label in the project's values."""
    array = np.zeros(SHAPE, dtype=np.uint8)
    for name, box in boxes.items():
        array[box] = NAMES.index(name) + 1
    return array


LIVER, TUMOUR = (slice(1, 5), slice(2, 6), slice(3, 5)), (slice(6, 8), slice(1, 3), slice(2, 6))
FIELDS = {
    **segment(0, "tumour", LabelValue=1, Layer=0),
    **segment(1, "liver", LabelValue=7, Layer=0),
    **segment(2, "never drawn", LabelValue=3, Layer=0),
    "Segmentation_SourceRepresentation": "Binary labelmap",
    "Segmentation_ContainedRepresentationNames": "Binary labelmap|Closed surface|",
}


def test_names_in_the_file_outrank_the_order_of_values(tmp_path: Path) -> None:
    layer = np.zeros(SHAPE)
    layer[TUMOUR], layer[LIVER] = 1, 7
    file = write(tmp_path / "case.seg.nrrd", layer[None], FIELDS)
    for told in (None, ["spleen", "liver", "tumour"]):
        label = check_label(file, IMAGE, NAMES, told)
        np.testing.assert_array_equal(label.array, drawn(liver=LIVER, tumour=TUMOUR))


def test_a_part_of_the_image_is_put_at_its_place(tmp_path: Path) -> None:
    layer = np.zeros((7, 5, 4))
    layer[5:7, 0:2, 0:4], layer[0:4, 1:5, 1:3] = 1, 7  # from voxel (1, 1, 2) of the image on
    file = write(
        tmp_path / "case.seg.nrrd",
        layer[None],
        {**FIELDS, "Segmentation_ReferenceImageExtentOffset": "1 1 2"},
        start=(1, 1, 2),
    )
    np.testing.assert_array_equal(check_label(file, IMAGE, NAMES).array, drawn(liver=LIVER, tumour=TUMOUR))


def test_a_single_slice_may_be_all_there_is(tmp_path: Path) -> None:
    file = write(tmp_path / "case.seg.nrrd", np.full((1, 9, 8, 1), 7), FIELDS, start=(0, 0, 4))
    whole = (slice(None), slice(None), slice(4, 5))
    np.testing.assert_array_equal(check_label(file, IMAGE, NAMES).array, drawn(liver=whole))


def test_layers_are_put_together(tmp_path: Path) -> None:
    layers = np.zeros((2, *SHAPE))
    layers[0][TUMOUR], layers[1][LIVER] = 1, 1
    fields = {**segment(0, "tumour", LabelValue=1, Layer=0), **segment(1, "liver", LabelValue=1, Layer=1)}
    file = write(tmp_path / "case.seg.nrrd", layers, fields)
    np.testing.assert_array_equal(check_label(file, IMAGE, NAMES).array, drawn(liver=LIVER, tumour=TUMOUR))


def test_a_file_of_a_slicer_without_layers_has_a_volume_for_each_segment(tmp_path: Path) -> None:
    layers = np.zeros((2, *SHAPE))
    layers[0][TUMOUR], layers[1][LIVER] = 1, 1
    file = write(tmp_path / "case.seg.nrrd", layers, {**segment(0, "tumour"), **segment(1, "liver")})
    np.testing.assert_array_equal(check_label(file, IMAGE, NAMES).array, drawn(liver=LIVER, tumour=TUMOUR))


def test_a_single_voxel_says_that_nothing_is_drawn(tmp_path: Path) -> None:
    file = write(tmp_path / "case.seg.nrrd", np.ones((1, 1, 1, 1)), FIELDS, start=(-50, 0, 0))
    assert not check_label(file, IMAGE, NAMES).array.any()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({**segment(0, "heart", LabelValue=1, Layer=0)}, "'heart' is not a label of this app"),
        ({**segment(0, "liver", LabelValue=2, Layer=0)}, "value 1 in 32 voxels is no segment's"),
        ({**segment(0, "liver", LabelValue="x", Layer=0)}, "segment 'liver' has a damaged value or layer"),
        ({**segment(0, "liver", LabelValue="1" * 5000, Layer=0)}, "segment 'liver' has a damaged value or layer"),
        ({**FIELDS, "Segmentation_SourceRepresentation": "Fractional labelmap"}, "expected 'Binary labelmap'"),
    ],
)
def test_segments_with_names_unknown_to_the_project_are_refused_by_name(
    tmp_path: Path, fields: dict[str, object], expected: str
) -> None:
    layer = np.zeros(SHAPE)
    layer[LIVER] = 1
    with pytest.raises(InvalidInputError, match=f"case.seg.nrrd: .*{expected}"):
        check_label(write(tmp_path / "case.seg.nrrd", layer[None], fields), IMAGE, NAMES)


def test_a_segment_with_a_number_of_five_thousand_digits_is_none() -> None:
    assert segments_of("case.seg.nrrd", {f"Segment{'1' * 5000}_Name": "liver"}) is None


def test_segments_that_overlap_are_refused(tmp_path: Path) -> None:
    layers = np.zeros((2, *SHAPE))
    layers[:, 1, 1, 1] = 1
    fields = {**segment(0, "tumour", LabelValue=1, Layer=0), **segment(1, "liver", LabelValue=1, Layer=1)}
    with pytest.raises(InvalidInputError, match="segment 'liver' overlaps another"):
        check_label(write(tmp_path / "case.seg.nrrd", layers, fields), IMAGE, NAMES)


@pytest.mark.parametrize(
    ("start", "expected"), [((4, 0, 0), "outside its image"), ((0.5, 0, 0), "do not lie on those of its image")]
)
def test_a_segmentation_of_another_grid_is_refused(tmp_path: Path, start: Any, expected: str) -> None:
    layer = np.zeros(SHAPE)
    layer[TUMOUR] = 1
    with pytest.raises(InvalidInputError, match=expected):
        check_label(write(tmp_path / "case.seg.nrrd", layer[None], FIELDS, start), IMAGE, NAMES)


def test_a_segmentation_is_no_image_under_any_name(tmp_path: Path) -> None:
    file = write(tmp_path / "case.nrrd", np.ones((1, *SHAPE)), FIELDS)
    with pytest.raises(InvalidInputError, match=r"case\.nrrd: it is a segmentation of 3D Slicer, expected an image"):
        read_grid(file)


LITS = parse_labels(["liver=1+2", "tumour=2"], "test")


def test_overlapping_segments_are_the_structures_that_overlap(tmp_path: Path) -> None:
    layers = np.zeros((2, *SHAPE))
    layers[0][1:5, 2:6, 3:5] = 1
    layers[1][2:4, 3:5, 3:5] = 1
    fields = {**segment(0, "liver", LabelValue=1, Layer=0), **segment(1, "tumour", LabelValue=1, Layer=1)}
    file = write(tmp_path / "case.seg.nrrd", layers, fields)
    expected = np.where(layers[1] == 1, 2, layers[0])
    np.testing.assert_array_equal(check_label(file, IMAGE, LITS, ["liver", "tumour"]).array, expected)
    with pytest.raises(InvalidInputError, match="segment 'tumour' overlaps another, expected one structure a voxel"):
        check_label(file, IMAGE, ["liver", "tumour"])


def test_overlapping_segments_of_unknown_or_equal_names_are_refused(tmp_path: Path) -> None:
    layers = np.ones((2, *SHAPE))
    for names, expected in (
        (("liver", "cyst"), "'cyst' is not a label of this app: rename the segment to one of liver, tumour"),
        (("liver", "liver"), "two structures are called 'liver'"),
    ):
        first, second = (segment(number, name, LabelValue=1, Layer=number) for number, name in enumerate(names))
        file = write(tmp_path / "case.seg.nrrd", layers, {**first, **second})
        with pytest.raises(InvalidInputError, match=expected):
            check_label(file, IMAGE, LITS)
