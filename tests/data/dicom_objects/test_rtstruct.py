"""RTSTRUCT on the grid of its image: holes, several structures, and the contours that are refused."""

import io
from collections.abc import Sequence

import numpy as np
import pydicom
import pytest
from matplotlib.path import Path as Polygon
from rtstruct_files import in_slice, rtstruct

from activelabel.data.dicom_objects import rtstruct as reader
from activelabel.data.dicom_objects.rtstruct import read_rtstruct
from activelabel.data.grids import Grid
from activelabel.errors import InvalidInputError

SHAPE = (24, 20, 7)
_TURN = np.radians(20)
_DIRECTIONS = np.array([[-np.cos(_TURN), 0, np.sin(_TURN)], [0, -1, 0], [np.sin(_TURN), 0, np.cos(_TURN)]])
AFFINE_RAS = np.eye(4)
AFFINE_RAS[:3, :3], AFFINE_RAS[:3, 3] = _DIRECTIONS * [0.7, 0.9, 2.5], [40, -30, 100]
GRID = Grid(SHAPE, AFFINE_RAS)
SQUARE = ((3.5, 3.5), (9.5, 3.5), (9.5, 8.5), (3.5, 8.5))  # 6 x 5 voxels
INNER = ((5.5, 4.5), (7.5, 4.5), (7.5, 6.5), (5.5, 6.5))  # 2 x 2
NEXT = ((12.5, 3.5), (15.5, 3.5), (15.5, 8.5), (12.5, 8.5))


def blob(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 31))
    lengths = rng.uniform(4, 8, 31)
    return np.stack([11.2 + lengths * np.cos(angles), 9.7 + lengths * np.sin(angles)], axis=1)


def distances(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Return the distance of each point from the outline with these corners."""
    ends = np.roll(corners, -1, axis=0) - corners
    apart = points[:, None] - corners
    share = np.clip((apart * ends).sum(axis=2) / (ends**2).sum(axis=1), 0, 1)
    return np.asarray(np.linalg.norm(apart - share[..., None] * ends, axis=2).min(axis=1))


def slices(corners: Sequence[Sequence[float]], *indices: float) -> list[np.ndarray]:
    return [in_slice(GRID, index, corners) for index in indices]


def sent(dataset: pydicom.Dataset) -> pydicom.Dataset:
    """Return the object as it is after it was stored, with no value parsed."""
    file = io.BytesIO()
    dataset.save_as(file, write_like_original=False)
    file.seek(0)
    return pydicom.dcmread(file)


def test_structures_are_what_an_independent_rule_finds_on_a_turned_grid() -> None:
    """Points of the image in millimetres are tested against the polygons in their own plane."""
    drawn = {"Lung": [blob(index) for index in range(4)], "Heart": [blob(9) * 0.3 + 1 for _ in range(2)]}
    places = {"Lung": (1, 2, 3, 4), "Heart": (5, 6)}
    contours = {
        name: [in_slice(GRID, index, corners) for index, corners in zip(places[name], drawn[name], strict=True)]
        for name in drawn
    }
    label = read_rtstruct(sent(rtstruct(contours)), GRID, ("Lung", "Heart"))
    centres = np.stack(np.meshgrid(*map(np.arange, SHAPE[:2]), indexing="ij"), axis=-1).reshape(-1, 2)
    expected = np.zeros(SHAPE, dtype=int)
    for value, name in enumerate(drawn, start=1):
        for index, corners in zip(places[name], drawn[name], strict=True):
            inside = Polygon(corners).contains_points(centres) | (distances(centres, corners) < 0.01)
            expected[:, :, index][inside.reshape(SHAPE[:2])] = value
    assert label.names == ("Lung", "Heart")
    np.testing.assert_array_equal(label.array, expected)


@pytest.mark.parametrize("kind", ["CLOSED_PLANAR", "CLOSEDPLANAR_XOR"])
@pytest.mark.parametrize("order", [1, -1])
def test_an_inner_contour_is_a_hole(kind: str, order: int) -> None:
    contours = [*slices(SQUARE, 2, 3), *slices(INNER, 3)][::order]
    label = read_rtstruct(sent(rtstruct({"Bladder": contours}, kind=kind)), GRID)
    assert [np.count_nonzero(label.array[:, :, index]) for index in range(7)] == [0, 0, 30, 26, 0, 0, 0]


def test_a_contour_that_is_there_twice_is_there_once() -> None:
    label = read_rtstruct(sent(rtstruct({"Bladder": [*slices(SQUARE, 2), *slices(SQUARE, 2)]})), GRID)
    assert np.count_nonzero(label.array) == 30


def test_contours_through_the_centres_of_the_outermost_voxels_give_back_the_mask() -> None:
    """Programs that make contours from masks write these: one voxel becomes a point, a row of voxels a line."""
    mask = np.zeros(SHAPE, dtype=bool)
    mask[4:9, 5:8, 2] = mask[4, 5, 3] = mask[4:7, 5, 4] = True
    around = [(4, 5), (8, 5), (8, 7), (4, 7)]
    contours = [*slices(around, 2), *slices([(4, 5)], 3), *slices([(4, 5), (6, 5)], 4)]
    label = read_rtstruct(sent(rtstruct({"GTV": contours}, decimals=3)), GRID)
    np.testing.assert_array_equal(label.array == 1, mask)


def test_structures_that_meet_on_a_line_share_no_voxel() -> None:
    left = slices([(2, 2), (6, 2), (6, 9), (2, 9)], 3)
    right = slices([(6, 2), (9, 2), (9, 9), (6, 9)], 3)
    label = read_rtstruct(sent(rtstruct({"left": left, "right": right})), GRID)
    assert np.count_nonzero(label.array[:, :, 3]) == 8 * 8, "both with the centres on their outlines"
    assert (label.array[6, 2:9, 3] == 2).all(), "the common side belongs to the one that encloses it"


def test_only_wanted_structures_are_read_and_empty_ones_left_out() -> None:
    made = rtstruct({"BODY": slices(SQUARE, 2), "Heart": slices(INNER, 2), "Lung": []})
    label = read_rtstruct(sent(made), GRID, ("Lung", "Heart"))
    assert label.names == ("Heart",)
    assert np.count_nonzero(label.array) == 4
    with pytest.raises(InvalidInputError, match=r"plan\.dcm: none of its structures \(BODY, Heart, Lung\) is one"):
        read_rtstruct(sent(made), GRID, ("Liver",), "plan.dcm")


def test_of_two_overlapping_structures_the_one_named_later_wins_and_without_names_both_are_refused() -> None:
    made = sent(rtstruct({"tumour": slices(INNER, 2), "organ": slices(SQUARE, 2)}))
    label = read_rtstruct(made, GRID, ("organ", "tumour"))
    assert {name: np.count_nonzero(label.array == value) for value, name in enumerate(label.names, start=1)} == {
        "tumour": 4,
        "organ": 26,
    }
    whole = read_rtstruct(made, GRID, ("tumour", "organ"))
    assert (whole.names, np.count_nonzero(whole.array)) == (("organ",), 30)
    with pytest.raises(InvalidInputError, match="'tumour' and 'organ' overlap in 4 voxels"):
        read_rtstruct(made, GRID)


def test_points_and_open_lines_hold_no_voxel() -> None:
    label = read_rtstruct(sent(rtstruct({"isocentre": slices([(4, 4)], 2)}, kind="POINT")), GRID)
    assert (label.names, label.array.any()) == ((), False)


def test_contours_of_another_plane_are_read_too() -> None:
    corners = [(2.5, 1.5), (8.5, 1.5), (8.5, 4.5), (2.5, 4.5)]
    drawn = [in_slice(GRID, index, corners, axis=1) for index in (6, 7)]
    label = read_rtstruct(sent(rtstruct({"cord": drawn})), GRID)
    expected = np.zeros(SHAPE, dtype=int)
    expected[3:9, 6:8, 2:5] = 1
    np.testing.assert_array_equal(label.array, expected)


def test_of_several_affines_of_an_image_the_one_that_fits_the_contours_is_used() -> None:
    moved = AFFINE_RAS.copy()
    moved[:3, 3] += 0.5 * AFFINE_RAS[:3, 2]
    label = read_rtstruct(sent(rtstruct({"cord": slices(SQUARE, 2, 3)})), Grid(SHAPE, moved, (AFFINE_RAS,)))
    assert np.count_nonzero(label.array[:, :, 2]) == 30


@pytest.mark.parametrize(
    ("contours", "expected"),
    [
        (slices(SQUARE, 2.5), r"'GTV' has a contour between two slices of the image \(at 2\.5, counted from 0\)"),
        (slices(SQUARE, 7), r"'GTV' is drawn outside its image \(24x20x7 voxels\)"),
        (slices(np.array(SQUARE) - 4.6, 2), "'GTV' is drawn outside its image"),
        (slices(SQUARE, 1, 3, 5), r"on 3 slices of which no two are neighbours \(the first 1 and 3\)"),
        ([in_slice(GRID, 2, SQUARE) + np.outer([0, 1, 1, 0], [0, 0, 3])], "drawn across the slices of the image"),
        ([in_slice(GRID, 2, SQUARE) * np.nan], "has a point that is no place"),
    ],
)
def test_contours_outside_the_slices_of_the_image_are_refused(contours: list[np.ndarray], expected: str) -> None:
    with pytest.raises(InvalidInputError, match=expected):
        read_rtstruct(sent(rtstruct({"GTV": contours})), GRID)


def test_points_up_to_the_edge_of_the_outermost_voxels_are_inside() -> None:
    whole = [(-0.5, -0.5), (23.5, -0.5), (23.5, 19.5), (-0.5, 19.5)]
    assert (read_rtstruct(sent(rtstruct({"BODY": slices(whole, *range(7))})), GRID).array == 1).all()


def test_two_structures_of_one_name_are_refused() -> None:
    made = rtstruct({"GTV": slices(SQUARE, 2), "other": slices(NEXT, 2)})
    made.StructureSetROISequence[1].ROIName = "GTV"
    with pytest.raises(InvalidInputError, match="two structures are called 'GTV'"):
        read_rtstruct(sent(made), GRID)


@pytest.mark.parametrize("missing", ["StructureSetROISequence", "ROIContourSequence"])
def test_a_damaged_rtstruct_is_refused(missing: str) -> None:
    made = rtstruct({"GTV": slices(SQUARE, 2)})
    del made[missing]
    with pytest.raises(InvalidInputError, match="RTSTRUCT: damaged or incomplete"):
        read_rtstruct(sent(made), GRID)


def test_points_that_are_cut_off_or_no_numbers_are_refused() -> None:
    made = rtstruct({"GTV": slices(SQUARE, 2)})
    contour = made.ROIContourSequence[0].ContourSequence[0]
    contour.NumberOfContourPoints = 5
    with pytest.raises(InvalidInputError, match="contour of 12 numbers, expected 15 for its 5 points"):
        read_rtstruct(sent(made), GRID)
    contour.NumberOfContourPoints = 4
    stored = io.BytesIO()
    made.save_as(stored, write_like_original=False)
    broken = stored.getvalue().replace(str(contour.ContourData[0]).encode(), b"x" * len(str(contour.ContourData[0])), 1)
    with pytest.raises(InvalidInputError, match="damaged or incomplete"):
        read_rtstruct(pydicom.dcmread(io.BytesIO(broken)), GRID)


def test_an_unknown_type_of_contour_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="contour of the type 'CURVED', expected one of CLOSED_PLANAR"):
        read_rtstruct(sent(rtstruct({"GTV": slices(SQUARE, 2)}, kind="CURVED")), GRID)


def test_more_points_than_may_be_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MOST_POINTS", 7)
    with pytest.raises(InvalidInputError, match="more than 7 points"):
        read_rtstruct(sent(rtstruct({"GTV": slices(SQUARE, 2, 3)})), GRID)


def test_numbers_that_were_parsed_before_are_the_same() -> None:
    made = rtstruct({"GTV": slices(SQUARE, 2)})
    np.testing.assert_array_equal(read_rtstruct(made, GRID).array, read_rtstruct(sent(made), GRID).array)
