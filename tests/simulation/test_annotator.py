"""The oracle draws the reference where they are asked and nothing elsewhere; their counts are checked by hand."""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from activelabel.data.labels.label_texts import parse_labels
from activelabel.data.slices import SlicePlane
from activelabel.errors import InvalidInputError
from activelabel.simulation.annotator import OracleAnnotator, contour_length_mm, only_structures
from activelabel.simulation.cases import Cases

SPACING = (1.0, 2.0, 5.0)
AFFINE = np.diag([*SPACING, 1.0])


def annotator(
    label: np.ndarray, folder: Path, plane: SlicePlane = "acquisition", affine: np.ndarray = AFFINE
) -> OracleAnnotator:
    """Make an annotator of an image of 6x6x4 voxels with a reference label, which may be stored in another order."""
    image, reference = folder / "image.nii.gz", folder / "truth.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.zeros((6, 6, 4), np.uint8), AFFINE), image)
    nibabel.save(nibabel.Nifti1Image(label, affine), reference)
    return OracleAnnotator(Cases({"case": image}, {"case": reference}, ("case",), ()), folder / "desk", plane)


def box() -> np.ndarray:
    """A box of 2x3 voxels on slices 1 and 2 of 4 along the last axis, with a voxel of a second structure on slice 2."""
    label = np.zeros((6, 6, 4), np.uint8)
    label[1:3, 1:4, 1:3] = 1
    label[1, 1, 2] = 2
    return label


def test_the_oracle_draws_a_whole_volume(tmp_path: Path) -> None:
    drawing = annotator(box(), tmp_path).draw({"id": "case", "query": {"kind": "volume"}})
    assert np.array_equal(np.asarray(nibabel.load(drawing.file).dataobj), box())
    assert drawing.info == {"annotated_slices": "all"}
    assert (drawing.annotated_slices, drawing.foreground_slices, drawing.foreground_voxels) == (4, 2, 12)


def test_the_oracle_draws_the_slices_that_were_asked_for_and_no_other(tmp_path: Path) -> None:
    query = {"kind": "slices", "axis": 2, "slices": [0, 1]}
    drawing = annotator(box(), tmp_path).draw({"id": "case", "query": query})
    drawn = np.asarray(nibabel.load(drawing.file).dataobj)
    assert np.array_equal(drawn[..., :2], box()[..., :2])
    assert not drawn[..., 2:].any()
    assert drawing.info == {"annotated_slices": [0, 1]}
    assert (drawing.annotated_slices, drawing.foreground_slices, drawing.foreground_voxels) == (2, 1, 6)


@pytest.mark.parametrize("names", [(), ("ignore", "ball", "background (4)")])
def test_background_and_ignored_voxels_cost_nothing(names: tuple[str, ...]) -> None:
    """Values are those of the map, or positions of the names that the label's own file gives."""
    labels = parse_labels(["ball=1", "background=4", "ignore=5"], "test")
    array = np.array([0, 1, 2, 3] if names else [0, 5, 1, 4], np.uint8)
    drawn = only_structures(array, labels, names)
    assert drawn.tolist() == ([0, 0, 2, 0] if names else [0, 0, 1, 0])
    assert only_structures(array, ("ball",), ()).tolist() == array.tolist()


def test_the_oracle_looks_at_no_label_that_was_not_asked_for(tmp_path: Path) -> None:
    label = box().astype(np.int16)
    label[..., 3] = 999
    label[..., 2] = -7
    drawing = annotator(label, tmp_path).draw({"id": "case", "query": {"kind": "slices", "axis": 2, "slices": [1]}})
    assert np.asarray(nibabel.load(drawing.file).dataobj).max() == 1
    assert drawing.foreground_voxels == 6


def test_slices_are_those_of_the_image_however_its_label_was_stored(tmp_path: Path) -> None:
    """The label has the last axis first and reversed: slice 1 of the image is the third along the file's first axis."""
    stored = np.flip(np.moveaxis(box(), 2, 0), axis=0)
    affine = np.array([[0, 1, 0, 0], [0, 0, 2, 0], [-5, 0, 0, 15], [0, 0, 0, 1]], float)
    query = {"kind": "slices", "axis": 2, "slices": [1]}
    drawing = annotator(stored, tmp_path, affine=affine).draw({"id": "case", "query": query})
    expected = box()
    expected[..., [0, 2, 3]] = 0
    assert np.array_equal(np.asarray(nibabel.load(drawing.file).dataobj), expected)
    assert np.array_equal(nibabel.load(drawing.file).affine, AFFINE)


def test_a_reference_label_of_another_grid_is_refused(tmp_path: Path) -> None:
    moved = AFFINE + np.array([[0, 0, 0, 3.0], *[[0] * 4] * 3])
    with pytest.raises(
        InvalidInputError,
        match=r"truth.nii.gz: the label's affine is not its image's, their corners lie up to 3 mm apart",
    ):
        annotator(box(), tmp_path, affine=moved).draw({"id": "case", "query": {"kind": "volume"}})


@pytest.mark.parametrize("value", [0.5, -1.0, 70000.0])
def test_reference_values_of_no_structure_are_refused_and_not_rounded(tmp_path: Path, value: float) -> None:
    label = np.where(box() == 2, value, box()).astype(np.float32)
    with pytest.raises(InvalidInputError, match=f"whole numbers from 0, got {value:g} where it is drawn"):
        annotator(label, tmp_path).draw({"id": "case", "query": {"kind": "volume"}})


def test_a_whole_volume_is_drawn_slice_by_slice_in_the_plane_of_the_project(tmp_path: Path) -> None:
    """Sagittal slices lie across the first axis: see the contours below."""
    drawing = annotator(box(), tmp_path, plane="sagittal").draw({"id": "case", "query": {"kind": "volume"}})
    assert (drawing.annotated_slices, drawing.foreground_slices, drawing.boundary_mm) == (6, 2, 32 + 32 + 7)


def test_an_empty_slice_costs_no_contour(tmp_path: Path) -> None:
    drawing = annotator(box(), tmp_path).draw({"id": "case", "query": {"kind": "slices", "axis": 2, "slices": [3]}})
    assert (drawing.foreground_slices, drawing.foreground_voxels, drawing.boundary_mm) == (0, 0, 0.0)


@pytest.mark.parametrize(
    ("axis", "expected"),
    [
        # In a slice across the last axis the box is 2 of 1 mm by 3 of 2 mm: its outline is 2 * (2 + 6) = 16 mm, on two
        # slices; the voxel of the second structure has two sides inside the box, one of 1 mm and one of 2 mm.
        (2, 16 + 16 + 3),
        # Across the first axis: 3 of 2 mm by 2 of 5 mm, 2 * (6 + 10) = 32 mm, on two slices; inside, sides of 2 and 5.
        (0, 32 + 32 + 7),
        # Across the second: 2 of 1 mm by 2 of 5 mm, 2 * (2 + 10) = 24 mm, on three slices; inside, sides of 1 and 5.
        (1, 24 + 24 + 24 + 6),
    ],
)
def test_contours_run_along_the_edges_of_pixels(axis: int, expected: float) -> None:
    assert contour_length_mm(box(), axis, SPACING) == pytest.approx(expected)


def test_a_contour_closes_at_the_border_of_the_image() -> None:
    assert contour_length_mm(np.ones((2, 3, 1), np.uint8), 2, (1.0, 1.0, 1.0)) == pytest.approx(10)
